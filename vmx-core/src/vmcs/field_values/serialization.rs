//! Field values for `serde`: a map from the fields' names to their raw values.

use core::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::FieldValues;
use crate::vmcs::field::encoding::Encoding;
use crate::vmcs::field::table::FIELDS;

impl Serialize for FieldValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.with_values(&FIELDS).map(|(row, value)| (row.name, value)))
    }
}

/// Refuses a name that is not in [`FIELDS`](crate::vmcs::field::FIELDS), one given twice,
/// and a value wider than its field.
impl<'de> Deserialize<'de> for FieldValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ValuesVisitor)
    }
}

struct ValuesVisitor;

impl<'de> Visitor<'de> for ValuesVisitor {
    type Value = FieldValues;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from names of VMCS fields to their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValues, A::Error> {
        let mut values = FieldValues::new();
        while let Some((Name(encoding), value)) = map.next_entry()? {
            if values.get_raw(encoding).is_some() {
                return Err(A::Error::custom(format_args!("{encoding:?} is given twice")));
            }
            if value & !encoding.width().mask() != 0 {
                return Err(A::Error::custom(format_args!(
                    "{value:#x} is wider than {encoding:?}"
                )));
            }
            values.set_raw(encoding, value);
        }
        Ok(values)
    }
}

/// A field's name.
struct Name(Encoding);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a VMCS field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        let unknown = || E::custom(format_args!("no VMCS field has the name `{name}`"));
        Encoding::from_name(name).map(Name).ok_or_else(unknown)
    }
}
