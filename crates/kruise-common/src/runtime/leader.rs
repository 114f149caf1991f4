//! Being written: only the interface.
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use std::time::Duration;
/// x
#[derive(Clone, Debug)]
pub struct Leadership(watch::Sender<bool>);
/// x
#[derive(Debug)]
pub struct WriteGuard;
/// x
#[derive(Clone, Debug)]
pub struct ForeignLease { /// x
 pub namespace: String, /// x
 pub name: String }
/// x
#[derive(Clone, Debug)]
pub struct LeaderConfig { /// x
 pub namespace: String, /// x
 pub name: String, /// x
 pub identity: String, /// x
 pub lease_duration: Duration, /// x
 pub renew_deadline: Duration, /// x
 pub retry_period: Duration, /// x
 pub conflict: Option<ForeignLease>, /// x
 pub allow_coexistence: bool }
impl Leadership {
/// x
 pub fn is_leader(&self) -> bool { *self.0.borrow() }
/// x
 pub fn enter(&self) -> Option<WriteGuard> { self.is_leader().then_some(WriteGuard) }
/// x
 pub fn changed(&self) -> watch::Receiver<bool> { self.0.subscribe() }
/// x
 pub fn standby_reason(&self) -> Option<String> { None }
}
/// x
pub fn disabled() -> Leadership { Leadership(watch::Sender::new(true)) }
/// x
pub fn campaign(_c: Client, _config: LeaderConfig, _stop: CancellationToken, _lost: CancellationToken) -> (Leadership, impl Future<Output=()> + Send + 'static) { (disabled(), async {}) }
