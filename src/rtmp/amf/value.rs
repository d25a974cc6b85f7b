//! Values as trees.

/// A value. Properties keep the order in which they were sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, which may be NaN or infinite: check before casting.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A short or long string. Bytes that aren't UTF-8 were replaced.
    String(String),
    /// An object. Typed objects lose their class: no object is ever instantiated by its class name.
    Object(Vec<(String, Value)>),
    /// Named properties in the form that players expect for metadata.
    EcmaArray(Vec<(String, Value)>),
    /// An array of values without names.
    StrictArray(Vec<Value>),
    /// Null. References also become null, since expanding them would let a small message become large,
    /// and no client sends them.
    Null,
    /// Undefined, or AMF0's "unsupported".
    Undefined,
    /// A date in milliseconds since 1970. The time zone is reserved and ignored.
    Date(f64),
    /// An XML document, opaque: never parsed.
    XmlDocument(String),
    /// A byte array, in AMF3 only.
    ByteArray(Vec<u8>),
}

impl Value {
    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the number, even if it was sent as a boolean or as text, as some clients do.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Boolean(boolean) => Some(f64::from(u8::from(*boolean))),
            Value::String(text) => text.trim().parse::<i32>().ok().map(f64::from),
            _ => None,
        }
    }

    /// Returns the boolean. Some clients send numbers instead, of which all but 0 are true.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Boolean(boolean) => Some(*boolean),
            Value::Number(number) => Some(*number != 0.0 && !number.is_nan()),
            _ => None,
        }
    }

    /// Returns a property of an object or ECMA array; the last one if the key occurs twice.
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
