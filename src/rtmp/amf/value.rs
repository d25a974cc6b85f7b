//! Values as trees.

/// A value. Properties keep the order in which they came.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// May be NaN or infinite: check before casting.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// Short and long strings. Bytes that aren't UTF-8 were replaced.
    String(String),
    /// Also typed objects, whose class is dropped: nothing is ever created by name.
    Object(Vec<(String, Value)>),
    /// Named properties, in the form that players want for metadata.
    EcmaArray(Vec<(String, Value)>),
    /// Values without names.
    StrictArray(Vec<Value>),
    /// Also references, which no client sends: expanding them is how small messages become large.
    Null,
    /// Also "unsupported".
    Undefined,
    /// Milliseconds since 1970; the time zone is reserved and ignored.
    Date(f64),
    /// Opaque; never parsed.
    XmlDocument(String),
    /// AMF3 only.
    ByteArray(Vec<u8>),
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number, also if it was sent as a boolean or as text, as some clients do.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Boolean(boolean) => Some(f64::from(u8::from(*boolean))),
            Value::String(text) => text.trim().parse::<i32>().ok().map(f64::from),
            _ => None,
        }
    }

    /// The boolean; clients also send numbers, of which all but 0 are true.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(boolean) => Some(*boolean),
            Value::Number(number) => Some(*number != 0.0 && !number.is_nan()),
            _ => None,
        }
    }

    /// A property of an object or ECMA array; the last one if the key occurs twice.
    pub fn property(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(properties) | Value::EcmaArray(properties) => {
                let found = properties.iter().rev().find(|(name, _)| name == key);
                found.map(|(_, value)| value)
            }
            _ => None,
        }
    }
}
