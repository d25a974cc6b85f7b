//! Writing AMF0.

use crate::rtmp::amf::marker::amf0 as marker;
use crate::rtmp::amf::value::Value;

impl Value {
    /// Appends the value's bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Encoder::new(out).value(self);
    }
}

/// Writes values as they are named, without building a [`Value`].
///
/// ```text
/// Encoder::new(&mut out).string("onStatus").number(0.0).null()
///     .object().key("level").string("status").end();
/// ```
///
/// The caller closes each object or ECMA array with [`end`](Encoder::end).
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Encoder<'a> {
        Encoder { out }
    }

    /// A number.
    pub fn number(&mut self, number: f64) -> &mut Self {
        self.byte(marker::NUMBER).bytes(&number.to_be_bytes())
    }

    /// A boolean.
    pub fn boolean(&mut self, boolean: bool) -> &mut Self {
        self.byte(marker::BOOLEAN).byte(u8::from(boolean))
    }

    /// A string; a long string if its length requires it.
    pub fn string(&mut self, text: &str) -> &mut Self {
        match u16::try_from(text.len()) {
            Ok(_) => self.byte(marker::STRING).key(text),
            Err(_) => self.byte(marker::LONG_STRING).long_text(text),
        }
    }

    /// Null.
    pub fn null(&mut self) -> &mut Self {
        self.byte(marker::NULL)
    }

    /// Opens an object.
    pub fn object(&mut self) -> &mut Self {
        self.byte(marker::OBJECT)
    }

    /// Opens an ECMA array that will have `count` properties.
    pub fn ecma_array(&mut self, count: usize) -> &mut Self {
        self.byte(marker::ECMA_ARRAY).count(count)
    }

    /// Names the value that is written next. Keys end at 65535 bytes, between characters.
    pub fn key(&mut self, key: &str) -> &mut Self {
        let longest = key.len().min(usize::from(u16::MAX));
        let end = (0..=longest)
            .rev()
            .find(|end| key.is_char_boundary(*end))
            .unwrap_or(0);
        let key = key.get(..end).unwrap_or_default();
        self.bytes(&(key.len() as u16).to_be_bytes())
            .bytes(key.as_bytes())
    }

    /// Closes an object or ECMA array.
    pub fn end(&mut self) -> &mut Self {
        self.bytes(&[0, 0, marker::OBJECT_END])
    }

    /// A whole value.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Number(number) => self.number(*number),
            Value::Boolean(boolean) => self.boolean(*boolean),
            Value::String(text) => self.string(text),
            Value::Object(properties) => self.object().properties(properties),
            Value::EcmaArray(properties) => {
                self.ecma_array(properties.len()).properties(properties)
            }
            Value::StrictArray(values) => self.strict_array(values),
            Value::Null => self.null(),
            Value::Undefined => self.byte(marker::UNDEFINED),
            Value::Date(ms) => self.date(*ms),
            Value::XmlDocument(text) => self.byte(marker::XML_DOCUMENT).long_text(text),
            Value::ByteArray(_) => {
                super::emit_avmplus(value, self.out);
                self
            }
        }
    }

    fn properties(&mut self, properties: &[(String, Value)]) -> &mut Self {
        for (key, value) in properties {
            self.key(key).value(value);
        }
        self.end()
    }

    fn strict_array(&mut self, values: &[Value]) -> &mut Self {
        self.byte(marker::STRICT_ARRAY).count(values.len());
        for value in values {
            self.value(value);
        }
        self
    }

    fn date(&mut self, ms: f64) -> &mut Self {
        self.byte(marker::DATE)
            .bytes(&ms.to_be_bytes())
            .bytes(&[0, 0])
    }

    fn long_text(&mut self, text: &str) -> &mut Self {
        self.count(text.len()).bytes(text.as_bytes())
    }

    // Values that are emitted came in a message or were made here, so it is far below 2^32.
    fn count(&mut self, count: usize) -> &mut Self {
        self.bytes(&(count as u32).to_be_bytes())
    }

    fn byte(&mut self, byte: u8) -> &mut Self {
        self.out.push(byte);
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }
}
