//! All rounds: raw rates first, then every bench by every contestant, interleaved; results at the end.

use anyhow::{Context, bail};

use crate::benchmark::Bench;
use crate::contestant::Contestant;
use crate::floor::Rates;
use crate::lab::Lab;
use crate::options::Options;
use crate::progress::Progress;
use crate::raw;
use crate::report::{self, Record, Samples, median};
use crate::sample;

/// Fewer pods than this would not measure a rate.
const LEAST_RAW_PODS: u32 = 500;

/// What all rounds gave.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Medians by bench and contestant.
    pub records: Vec<Record>,
    /// Medians of the raw rates.
    pub rates: Rates,
    /// Samples that could not be taken.
    pub failures: usize,
}

/// Runs everything that `options` ask for and writes `STATE/results.json`.
pub async fn run(options: Options) -> anyhow::Result<Outcome> {
    let contestants: Vec<Contestant> = options
        .contestants
        .iter()
        .map(|path| Contestant::read(path))
        .collect::<anyhow::Result<_>>()?;
    let lab = Lab::open(options).await?;
    for contestant in &contestants {
        lab.prepare(contestant).await.with_context(|| contestant.name.clone())?;
    }
    let session = Session { lab: &lab, contestants: &contestants, total: 0 };
    session.all_rounds().await
}

struct Session<'a> {
    lab: &'a Lab,
    contestants: &'a [Contestant],
    total: usize,
}

impl Session<'_> {
    async fn all_rounds(mut self) -> anyhow::Result<Outcome> {
        let options = &self.lab.options;
        let mut benches = options.bench.clone();
        benches.sort_unstable();
        benches.dedup();
        let order = |round: usize| order(&benches, self.contestants, round);
        self.total = order(0).len() * usize::try_from(options.runs)?;
        if self.total == 0 {
            bail!("no contestant plays any of these benches");
        }
        let (mut samples, mut rates) = (Samples::new(), Vec::new());
        let (mut failures, mut done) = (0, 0);
        let mut progress = Progress::new();
        for round in 0..usize::try_from(options.runs)? {
            rates.push(self.raw_rates(round, &mut progress).await?);
            let measured = rates.last().copied().unwrap_or_default();
            let nodes = self.lab.start_nodes().await?;
            for (bench, place) in order(round) {
                done += 1;
                match self.sample((bench, place), (round, done), &measured, &mut progress).await {
                    Ok(sample) => samples.entry((bench, place)).or_default().push(sample),
                    Err(error) => {
                        progress.end(&format!("FAILED: {error:#}"));
                        failures += 1;
                    }
                }
            }
            nodes.stop().await?;
        }
        let records = report::records(&samples, self.contestants, options.size);
        let path = options.state.join("results.json");
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&records)?))?;
        progress.say(&format!("results: {}", path.display()));
        Ok(Outcome { records, rates: medians(&rates), failures })
    }

    async fn raw_rates(&self, round: usize, progress: &mut Progress) -> anyhow::Result<Rates> {
        progress.begin(format!("round {}: raw API write rates", round + 1));
        let rates =
            raw::measure(&self.lab.client, self.lab.options.size.max(LEAST_RAW_PODS)).await?;
        let Rates { create, bind, status, patch, delete } = rates;
        progress.end(&format!(
            "create {create:.0}/s, bind {bind:.0}/s, status {status:.0}/s, patch {patch:.0}/s, delete {delete:.0}/s"
        ));
        Ok(rates)
    }

    async fn sample(
        &self,
        (bench, place): (Bench, usize),
        (round, done): (usize, usize),
        rates: &Rates,
        progress: &mut Progress,
    ) -> anyhow::Result<sample::Sample> {
        let contestant = self.contestants.get(place).context("no such contestant")?;
        let (name, total) = (&contestant.name, self.total);
        progress.begin(format!("[{done}/{total}] {} {name}", bench.name()));
        let tag = format!("{}-{}-{}", bench.name(), contestant.stem, round + 1);
        let sample = sample::take(self.lab, (bench, contestant), rates, &tag, progress).await?;
        let size = f64::from(self.lab.options.size);
        progress.end(&format!(
            "{:.2} s, {:.1} pods/s, {:.2} writes/pod, {:.2} of the floor",
            sample.seconds,
            size / sample.seconds,
            sample.tally.pods.total() / size,
            sample.floor.all / sample.seconds,
        ));
        Ok(sample)
    }
}

/// Who does what in a round: bench by bench, and every round another contestant begins.
pub fn order(benches: &[Bench], contestants: &[Contestant], round: usize) -> Vec<(Bench, usize)> {
    let mut order = Vec::new();
    for bench in benches {
        let plays = |(place, contestant): (usize, &Contestant)| {
            contestant.benches.contains_key(bench).then_some(place)
        };
        let mut places: Vec<usize> = contestants.iter().enumerate().filter_map(plays).collect();
        let first = round.checked_rem(places.len()).unwrap_or_default();
        places.rotate_left(first);
        order.extend(places.into_iter().map(|place| (*bench, place)));
    }
    order
}

fn medians(rates: &[Rates]) -> Rates {
    let middle = |get: fn(&Rates) -> f64| median(rates.iter().map(get));
    Rates {
        create: middle(|rates| rates.create),
        bind: middle(|rates| rates.bind),
        status: middle(|rates| rates.status),
        patch: middle(|rates| rates.patch),
        delete: middle(|rates| rates.delete),
    }
}
