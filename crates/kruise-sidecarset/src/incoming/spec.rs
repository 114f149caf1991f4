//! The spec of a pod as far as injection looks at it. Nothing is copied: what a sidecar takes over from a container of the
//! pod is the text that stands there, so a member that nobody here knows comes along.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use kruise_api::keys;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A spec. Lists are null or absent alike.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec<'a> {
    /// `false` if the pod wants no token.
    pub automount_service_account_token: Option<bool>,
    /// Containers.
    #[serde(borrow, deserialize_with = "objects")]
    pub containers: Option<Vec<Container<'a>>>,
    /// Init containers.
    #[serde(borrow, deserialize_with = "objects")]
    pub init_containers: Option<Vec<Container<'a>>>,
    /// Volumes, by name.
    #[serde(borrow, deserialize_with = "objects")]
    pub volumes: Option<Vec<Named<'a>>>,
    /// Pull secrets, by name.
    #[serde(borrow, deserialize_with = "objects")]
    pub image_pull_secrets: Option<Vec<Named<'a>>>,
}

/// What is told apart by its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

/// A container of the pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    env: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    volume_mounts: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    volume_devices: Option<Vec<Item<'a>>>,
    /// Resources, as they are written.
    #[serde(borrow)]
    pub resources: Option<&'a RawValue>,
    #[serde(borrow)]
    restart_policy: Text<'a>,
}

/// A variable, a mount or a device.
#[derive(Debug)]
pub struct Item<'a> {
    /// As it is written.
    pub text: &'a str,
    known: Known<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Known<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    value: Text<'a>,
    #[serde(borrow)]
    mount_path: Text<'a>,
    #[serde(borrow)]
    sub_path_expr: Text<'a>,
    #[serde(borrow)]
    device_path: Text<'a>,
}

/// A string that is copied only if it is written with escapes; null is an empty one.
#[derive(Debug, Default)]
struct Text<'a>(Cow<'a, str>);

impl Named<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name.0
    }
}

impl<'a> Container<'a> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name.0
    }

    /// Its variables.
    pub fn env(&self) -> &[Item<'a>] {
        self.env.as_deref().unwrap_or_default()
    }

    /// Its mounts.
    pub fn mounts(&self) -> &[Item<'a>] {
        self.volume_mounts.as_deref().unwrap_or_default()
    }

    /// Its devices.
    pub fn devices(&self) -> &[Item<'a>] {
        self.volume_devices.as_deref().unwrap_or_default()
    }

    /// Whether it is one that keeps running, if it is an init container.
    pub fn is_native(&self) -> bool {
        self.restart_policy.0 == "Always"
    }

    /// Whether a SidecarSet has put it into the pod.
    pub fn is_injected(&self) -> bool {
        self.env().iter().any(|one| one.name() == keys::IS_INJECTED_ENV && one.value() == "true")
    }
}

impl Item<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.known.name.0
    }

    /// The value of a variable.
    pub fn value(&self) -> &str {
        &self.known.value.0
    }

    /// Where a mount is.
    pub fn mount_path(&self) -> &str {
        &self.known.mount_path.0
    }

    /// The part of the volume that is mounted, with references to variables.
    pub fn sub_path_expr(&self) -> &str {
        &self.known.sub_path_expr.0
    }

    /// Where a device is.
    pub fn device_path(&self) -> &str {
        &self.known.device_path.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = <&'a RawValue>::deserialize(source)?.get();
        let Object(known) = serde_json::from_str(text).map_err(D::Error::custom)?;
        Ok(Self { text, known })
    }
}

/// What is an object on the wire. Serde reads a list as a struct too, and `[]` is shorter than what is made of it: the room for
/// bodies is reckoned by the objects in them.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }
        source.deserialize_map(Reads(PhantomData)).map(Self)
    }
}

fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list = Option::<Vec<Object<T>>>::deserialize(source)?;
    Ok(list.map(|list| list.into_iter().map(|Object(item)| item).collect()))
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        source.deserialize_any(Reads)
    }
}
