//! Reading AMF3.

use byteorder::{BigEndian, ByteOrder};

use super::{MAX_INTEGER, marker};
use crate::rtmp::Error;
use crate::rtmp::amf0::{MAX_DEPTH, MAX_VALUES, Value, limit};

/// Bytes that references to strings may repeat, in all.
const MAX_REPEATED_TEXT: usize = 64 * 1024;

/// Classes that write themselves, as exactly one value.
const WRAPPERS: [&[u8]; 3] = [
    b"flex.messaging.io.ArrayCollection",
    b"flex.messaging.io.ArrayList",
    b"flex.messaging.io.ObjectProxy",
];

/// Reads one value from the beginning of `bytes`, which are the end of a message of `len` bytes;
/// returns what is behind it. The value lies `depth` deep, and `values_left` is what this message
/// may still have.
pub(in crate::rtmp) fn decode<'a>(
    bytes: &'a [u8],
    len: usize,
    depth: usize,
    values_left: &mut usize,
) -> Result<(Value, &'a [u8]), Error> {
    let mut decoder = Decoder {
        bytes,
        len,
        values_left,
        strings: Vec::new(),
        objects: 0,
        traits: Vec::new(),
        names_left: MAX_VALUES,
        text_left: MAX_REPEATED_TEXT,
    };
    let value = decoder.value(depth)?;
    Ok((value, decoder.bytes))
}

struct Decoder<'a, 'b> {
    /// What is still to be read.
    bytes: &'a [u8],
    /// Length of the whole message: errors name positions in it.
    len: usize,
    values_left: &'b mut usize,
    strings: Vec<&'a [u8]>,
    /// Objects so far, whose number alone matters.
    objects: usize,
    traits: Vec<Traits<'a>>,
    /// How many more names traits may have.
    names_left: usize,
    text_left: usize,
}

/// What is said of a class.
struct Traits<'a> {
    class: &'a [u8],
    is_externalizable: bool,
    is_dynamic: bool,
    names: Vec<&'a [u8]>,
}

/// What a U29 announces.
enum Announced {
    /// A length or count of what follows.
    Inline(usize),
    Reference(usize),
}

impl<'a> Decoder<'a, '_> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth >= MAX_DEPTH {
            return Err(limit("depth of amf3 values", MAX_DEPTH));
        }
        let left = self.values_left.checked_sub(1);
        *self.values_left = left.ok_or_else(|| limit("amf3 values in a message", MAX_VALUES))?;
        let at = self.position();
        Ok(match self.byte("marker")? {
            marker::UNDEFINED => Value::Undefined,
            marker::NULL => Value::Null,
            marker::FALSE => Value::Boolean(false),
            marker::TRUE => Value::Boolean(true),
            marker::INTEGER => Value::Number(self.integer()?.into()),
            marker::DOUBLE => Value::Number(self.double()?),
            marker::STRING => Value::String(text(self.string()?)),
            marker::XML_DOCUMENT | marker::XML => match self.object_header()? {
                Some(len) => Value::XmlDocument(text(self.take(len, "xml document")?)),
                None => Value::Null,
            },
            marker::BYTE_ARRAY => match self.object_header()? {
                Some(len) => Value::ByteArray(self.take(len, "byte array")?.to_vec()),
                None => Value::Null,
            },
            marker::DATE => match self.object_header()? {
                Some(_) => Value::Date(self.double()?),
                None => Value::Null,
            },
            marker::ARRAY => self.array(depth)?,
            marker::OBJECT => self.object(depth)?,
            marker::VECTOR_INT => {
                self.vector(depth, 4, |bytes| BigEndian::read_i32(bytes).into())?
            }
            marker::VECTOR_UINT => {
                self.vector(depth, 4, |bytes| BigEndian::read_u32(bytes).into())?
            }
            marker::VECTOR_DOUBLE => self.vector(depth, 8, BigEndian::read_f64)?,
            marker::VECTOR_OBJECT => self.vector_of_objects(depth)?,
            marker::DICTIONARY => self.dictionary(depth)?,
            other => {
                return Err(Error::malformed(format!(
                    "amf3 marker {other:#04x} at byte {at}, expected a value"
                )));
            }
        })
    }

    /// Pairs up to the empty name, then elements. With pairs it is an ECMA array, in which the
    /// elements are named by their index.
    fn array(&mut self, depth: usize) -> Result<Value, Error> {
        let Some(count) = self.object_header()? else {
            return Ok(Value::Null);
        };
        let mut properties = self.properties(depth)?;
        self.check_count(count, 1)?;
        if properties.is_empty() {
            return Ok(Value::StrictArray(self.elements(count, depth)?));
        }
        for index in 0..count {
            properties.push((index.to_string(), self.value(depth + 1)?));
        }
        Ok(Value::EcmaArray(properties))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Error> {
        let announced = self.u29()?;
        if announced & 1 == 0 {
            return self.object_reference(announced as usize >> 1);
        }
        let traits = if announced & 2 == 0 {
            announced as usize >> 2
        } else {
            self.inline_traits(announced)?
        };
        self.objects += 1;
        let at = self.position();
        let count = self.traits.len();
        let Some(found) = self.traits.get(traits) else {
            return Err(no_reference("traits", traits, count, at));
        };
        let (is_dynamic, sealed) = (found.is_dynamic, found.names.len());
        if found.is_externalizable {
            if WRAPPERS.contains(&found.class) {
                return self.value(depth + 1);
            }
            let class = found.class.escape_ascii().to_string();
            return Err(Error::unsupported(format!(
                "amf3 object of class \"{class}\" at byte {at}, which has a format of its own"
            )));
        }
        let mut properties = Vec::new();
        for index in 0..sealed {
            let name = self.traits.get(traits).and_then(|t| t.names.get(index));
            let name = name.copied().unwrap_or_default();
            let value = self.value(depth + 1)?;
            if !name.is_empty() {
                properties.push((text(name), value));
            }
        }
        if is_dynamic {
            properties.append(&mut self.properties(depth)?);
        }
        Ok(Value::Object(properties))
    }

    /// Reads traits and enters them in their table; returns their index.
    fn inline_traits(&mut self, announced: u32) -> Result<usize, Error> {
        let is_externalizable = announced & 4 != 0;
        let count = if is_externalizable {
            0
        } else {
            announced as usize >> 4
        };
        let class = self.string()?;
        self.check_count(count, 1)?;
        let left = self.names_left.checked_sub(count);
        self.names_left = left.ok_or_else(|| limit("names of members in amf3", MAX_VALUES))?;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.string()?);
        }
        // Classes without members cost a byte or two each.
        if self.traits.len() == MAX_VALUES {
            return Err(limit("classes in amf3", MAX_VALUES));
        }
        self.traits.push(Traits {
            class,
            is_externalizable,
            is_dynamic: announced & 8 != 0,
            names,
        });
        Ok(self.traits.len() - 1)
    }

    fn vector(
        &mut self,
        depth: usize,
        size: usize,
        number: fn(&[u8]) -> f64,
    ) -> Result<Value, Error> {
        let Some(count) = self.object_header()? else {
            return Ok(Value::Null);
        };
        if count > 0 && depth + 1 == MAX_DEPTH {
            return Err(limit("depth of amf3 values", MAX_DEPTH));
        }
        self.byte("fixed flag")?;
        self.check_count(count, size)?;
        let left = self.values_left.checked_sub(count);
        *self.values_left = left.ok_or_else(|| limit("amf3 values in a message", MAX_VALUES))?;
        let bytes = self.take(count * size, "vector")?;
        let numbers = bytes.chunks_exact(size).map(number).map(Value::Number);
        Ok(Value::StrictArray(numbers.collect()))
    }

    fn vector_of_objects(&mut self, depth: usize) -> Result<Value, Error> {
        let Some(count) = self.object_header()? else {
            return Ok(Value::Null);
        };
        self.byte("fixed flag")?;
        self.string()?;
        self.check_count(count, 1)?;
        Ok(Value::StrictArray(self.elements(count, depth)?))
    }

    /// Keys may be any value. Texts and whole numbers become names, pairs with other keys are
    /// dropped.
    fn dictionary(&mut self, depth: usize) -> Result<Value, Error> {
        let Some(count) = self.object_header()? else {
            return Ok(Value::Null);
        };
        self.byte("weak flag")?;
        self.check_count(count, 2)?;
        let mut properties = Vec::new();
        for _ in 0..count {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            let name = match key {
                Value::String(name) => name,
                Value::Number(number) if f64::from(number as i32) == number => {
                    (number as i32).to_string()
                }
                _ => continue,
            };
            if !name.is_empty() {
                properties.push((name, value));
            }
        }
        Ok(Value::Object(properties))
    }

    fn elements(&mut self, count: usize, depth: usize) -> Result<Vec<Value>, Error> {
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(self.value(depth + 1)?);
        }
        Ok(elements)
    }

    /// Pairs up to the empty name.
    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            let name = self.string()?;
            if name.is_empty() {
                return Ok(properties);
            }
            properties.push((text(name), self.value(depth + 1)?));
        }
    }

    /// The length or count of an object that follows, which is entered in the table before its
    /// content is read; `None` for a reference.
    fn object_header(&mut self) -> Result<Option<usize>, Error> {
        match self.announced()? {
            Announced::Inline(count) => {
                self.objects += 1;
                Ok(Some(count))
            }
            Announced::Reference(index) => self.object_reference(index).map(|_| None),
        }
    }

    fn object_reference(&self, index: usize) -> Result<Value, Error> {
        if index < self.objects {
            return Ok(Value::Null);
        }
        let at = self.position();
        Err(no_reference("object", index, self.objects, at))
    }

    /// The empty string is never in the table.
    fn string(&mut self) -> Result<&'a [u8], Error> {
        match self.announced()? {
            Announced::Inline(0) => Ok(&[]),
            Announced::Inline(len) => {
                let text = self.take(len, "string")?;
                if self.strings.len() == MAX_VALUES {
                    return Err(limit("strings in amf3", MAX_VALUES));
                }
                self.strings.push(text);
                Ok(text)
            }
            Announced::Reference(index) => {
                let (count, at) = (self.strings.len(), self.position());
                let text = self.strings.get(index).copied();
                let text = text.ok_or_else(|| no_reference("string", index, count, at))?;
                let left = self.text_left.checked_sub(text.len());
                self.text_left =
                    left.ok_or_else(|| limit("bytes of repeated amf3 strings", MAX_REPEATED_TEXT))?;
                Ok(text)
            }
        }
    }

    /// An element has at least `size` bytes: memory grows with what came, not with what was
    /// announced.
    fn check_count(&self, count: usize, size: usize) -> Result<(), Error> {
        if count.saturating_mul(size) <= self.bytes.len() {
            return Ok(());
        }
        Err(Error::malformed(format!(
            "{count} amf3 values at byte {}, but only {} bytes are left",
            self.position(),
            self.bytes.len()
        )))
    }

    fn announced(&mut self) -> Result<Announced, Error> {
        let number = self.u29()?;
        let index = number as usize >> 1;
        Ok(match number & 1 {
            1 => Announced::Inline(index),
            _ => Announced::Reference(index),
        })
    }

    fn integer(&mut self) -> Result<i32, Error> {
        let number = self.u29()? as i32;
        Ok(if number > MAX_INTEGER {
            number - (1 << 29)
        } else {
            number
        })
    }

    /// Forms that are longer than needed are taken as well.
    fn u29(&mut self) -> Result<u32, Error> {
        let mut number = 0;
        for _ in 0..3 {
            let byte = self.byte("integer")?;
            number = number << 7 | u32::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Ok(number << 8 | u32::from(self.byte("integer")?))
    }

    fn double(&mut self) -> Result<f64, Error> {
        Ok(BigEndian::read_f64(self.take(8, "number")?))
    }

    fn byte(&mut self, what: &str) -> Result<u8, Error> {
        Ok(self.take(1, what)?.first().copied().unwrap_or_default())
    }

    /// Exactly `len` bytes, or an error.
    fn take(&mut self, len: usize, what: &str) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.bytes.split_at_checked(len) else {
            return Err(Error::malformed(format!(
                "amf3 {what} of {len} bytes at byte {}, but only {} are left",
                self.position(),
                self.bytes.len()
            )));
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn position(&self) -> usize {
        self.len - self.bytes.len()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn no_reference(what: &str, index: usize, count: usize, at: usize) -> Error {
    Error::malformed(format!(
        "amf3 reference to {what} {index} before byte {at}, but there are {count}"
    ))
}
