//! A decoder of AMF0 and AMF3 that builds a tree, as simple as can be. What the server's reader
//! finds without a tree is compared with it.

use brooklet::rtmp::amf::{MAX_STRINGS, MAX_TRAITS};
use brooklet::rtmp::amf0::{MAX_DEPTH, MAX_REPEATED_TEXT, MAX_VALUES, Value};

/// The values of a message, up to the first that can't be decoded.
pub(crate) struct Parsed {
    pub(crate) values: Vec<Value>,
    /// Something couldn't be decoded.
    pub(crate) is_cut_short: bool,
}

pub(crate) fn parse(bytes: &[u8], tolerates_missing_end: bool) -> Parsed {
    let mut decoder = Decoder {
        bytes,
        tolerates_missing_end,
        values_left: MAX_VALUES,
        repeated_left: MAX_REPEATED_TEXT,
        tables: Tables::default(),
    };
    let mut values = Vec::new();
    while !decoder.bytes.is_empty() {
        match decoder.value(0) {
            Some(value) => values.push(value),
            None => {
                return Parsed {
                    values,
                    is_cut_short: true,
                };
            }
        }
    }
    Parsed {
        values,
        is_cut_short: false,
    }
}

type Pairs = Vec<(String, Value)>;

struct Decoder<'a> {
    bytes: &'a [u8],
    tolerates_missing_end: bool,
    values_left: usize,
    repeated_left: usize,
    tables: Tables<'a>,
}

/// The state of the AMF3 value that is being read.
#[derive(Default)]
struct Tables<'a> {
    strings: Vec<&'a [u8]>,
    objects: usize,
    traits: Vec<Traits<'a>>,
}

#[derive(Clone)]
struct Traits<'a> {
    class: &'a [u8],
    is_externalizable: bool,
    is_dynamic: bool,
    names: Vec<&'a [u8]>,
}

impl<'a> Decoder<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn number(&mut self) -> Option<f64> {
        Some(f64::from_be_bytes(self.take(8)?.try_into().unwrap()))
    }

    fn u16(&mut self) -> Option<usize> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().unwrap()).into())
    }

    fn u32(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().unwrap()) as usize)
    }

    fn text(&mut self, len: usize) -> Option<String> {
        self.take(len).map(text)
    }

    fn count_values(&mut self, count: usize, depth: usize) -> Option<()> {
        if count > 0 && depth >= MAX_DEPTH {
            return None;
        }
        self.values_left = self.values_left.checked_sub(count)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if let Some(rest) = self.bytes.strip_prefix(&[0x11]) {
            self.bytes = rest;
            self.tables = Tables::default();
            return self.amf3(depth);
        }
        self.count_values(1, depth)?;
        Some(match self.byte()? {
            0x00 => Value::Number(self.number()?),
            0x01 => Value::Boolean(self.byte()? != 0),
            0x02 => {
                let len = self.u16()?;
                Value::String(self.text(len)?)
            }
            0x03 => Value::Object(self.pairs(depth)?),
            0x05 => Value::Null,
            0x06 | 0x0D => Value::Undefined,
            0x07 => {
                self.take(2)?;
                Value::Null
            }
            0x08 => {
                self.take(4)?;
                Value::EcmaArray(self.pairs(depth)?)
            }
            0x0A => {
                let count = self.u32()?;
                if count > self.bytes.len() {
                    return None;
                }
                let elements = (0..count).map(|_| self.value(depth + 1));
                Value::StrictArray(elements.collect::<Option<_>>()?)
            }
            0x0B => {
                let ms = self.number()?;
                self.take(2)?;
                Value::Date(ms)
            }
            0x0C => {
                let len = self.u32()?;
                Value::String(self.text(len)?)
            }
            0x0F => {
                let len = self.u32()?;
                Value::XmlDocument(self.text(len)?)
            }
            0x10 => {
                let len = self.u16()?;
                self.take(len)?;
                Value::Object(self.pairs(depth)?)
            }
            _ => return None,
        })
    }

    fn pairs(&mut self, depth: usize) -> Option<Pairs> {
        let mut pairs = Vec::new();
        loop {
            if self.bytes.is_empty() && self.tolerates_missing_end {
                return Some(pairs);
            }
            if let Some(rest) = self.bytes.strip_prefix(&[0, 0, 9]) {
                self.bytes = rest;
                return Some(pairs);
            }
            let len = self.u16()?;
            let name = self.text(len)?;
            pairs.push((name, self.value(depth + 1)?));
        }
    }

    fn amf3(&mut self, depth: usize) -> Option<Value> {
        self.count_values(1, depth)?;
        Some(match self.byte()? {
            0x00 => Value::Undefined,
            0x01 => Value::Null,
            0x02 => Value::Boolean(false),
            0x03 => Value::Boolean(true),
            0x04 => {
                let number = self.u29()? as i32;
                let is_negative = number >= 1 << 28;
                Value::Number(
                    (if is_negative {
                        number - (1 << 29)
                    } else {
                        number
                    })
                    .into(),
                )
            }
            0x05 => Value::Number(self.number()?),
            0x06 => Value::String(text(self.string()?)),
            0x07 | 0x0B => match self.header()? {
                Some(len) => Value::XmlDocument(self.text(len)?),
                None => Value::Null,
            },
            0x08 => match self.header()? {
                Some(_) => Value::Date(self.number()?),
                None => Value::Null,
            },
            0x09 => match self.header()? {
                Some(count) => self.array(count, depth)?,
                None => Value::Null,
            },
            0x0A => self.object(depth)?,
            0x0C => match self.header()? {
                Some(len) => Value::ByteArray(self.take(len)?.to_vec()),
                None => Value::Null,
            },
            kind @ 0x0D..=0x0F => match self.header()? {
                Some(count) => self.vector(kind, count, depth)?,
                None => Value::Null,
            },
            0x10 => match self.header()? {
                Some(count) => {
                    self.byte()?;
                    self.string()?;
                    Value::StrictArray(self.elements(count, depth)?)
                }
                None => Value::Null,
            },
            0x11 => match self.header()? {
                Some(count) => self.dictionary(count, depth)?,
                None => Value::Null,
            },
            _ => return None,
        })
    }

    fn array(&mut self, count: usize, depth: usize) -> Option<Value> {
        let mut pairs = self.amf3_pairs(depth)?;
        let elements = self.elements(count, depth)?;
        if pairs.is_empty() {
            return Some(Value::StrictArray(elements));
        }
        let named = elements.into_iter().enumerate();
        pairs.extend(named.map(|(index, value)| (index.to_string(), value)));
        Some(Value::EcmaArray(pairs))
    }

    fn elements(&mut self, count: usize, depth: usize) -> Option<Vec<Value>> {
        if count > self.bytes.len() {
            return None;
        }
        (0..count).map(|_| self.amf3(depth + 1)).collect()
    }

    fn amf3_pairs(&mut self, depth: usize) -> Option<Pairs> {
        let mut pairs = Vec::new();
        loop {
            let name = self.string()?;
            if name.is_empty() {
                return Some(pairs);
            }
            pairs.push((text(name), self.amf3(depth + 1)?));
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let announced = self.u29()?;
        if announced & 1 == 0 {
            return (announced >> 1 < self.tables.objects).then_some(Value::Null);
        }
        let is_repeated = announced & 2 == 0;
        let traits = if is_repeated {
            let index = announced >> 2;
            self.tables
                .traits
                .get(index)
                .filter(|_| index < MAX_TRAITS)?
                .clone()
        } else {
            self.traits(announced)?
        };
        self.tables.objects += 1;
        if traits.is_externalizable {
            let wrappers = ["ArrayCollection", "ArrayList", "ObjectProxy"];
            let class = traits.class.strip_prefix(b"flex.messaging.io.")?;
            return wrappers
                .iter()
                .any(|wrapper| wrapper.as_bytes() == class)
                .then(|| self.amf3(depth + 1))?;
        }
        let mut pairs = Vec::new();
        for name in traits.names {
            if is_repeated {
                self.repeated_left = self.repeated_left.checked_sub(name.len())?;
            }
            let value = self.amf3(depth + 1)?;
            if !name.is_empty() {
                pairs.push((text(name), value));
            }
        }
        if traits.is_dynamic {
            pairs.append(&mut self.amf3_pairs(depth)?);
        }
        Some(Value::Object(pairs))
    }

    fn traits(&mut self, announced: usize) -> Option<Traits<'a>> {
        let is_externalizable = announced & 4 != 0;
        let count = if is_externalizable { 0 } else { announced >> 4 };
        let class = self.string()?;
        if count > self.bytes.len() {
            return None;
        }
        let traits = Traits {
            class,
            is_externalizable,
            is_dynamic: announced & 8 != 0,
            names: (0..count).map(|_| self.string()).collect::<Option<_>>()?,
        };
        self.tables.traits.push(traits.clone());
        Some(traits)
    }

    fn vector(&mut self, kind: u8, count: usize, depth: usize) -> Option<Value> {
        self.byte()?;
        let size = if kind == 0x0F { 8 } else { 4 };
        if count * size > self.bytes.len() {
            return None;
        }
        self.count_values(count, depth + 1)?;
        let numbers = (0..count).map(|_| {
            Some(Value::Number(match kind {
                0x0D => (self.u32()? as u32 as i32).into(),
                0x0E => (self.u32()? as u32).into(),
                _ => self.number()?,
            }))
        });
        Some(Value::StrictArray(numbers.collect::<Option<_>>()?))
    }

    fn dictionary(&mut self, count: usize, depth: usize) -> Option<Value> {
        self.byte()?;
        if count * 2 > self.bytes.len() {
            return None;
        }
        let mut pairs = Vec::new();
        for _ in 0..count {
            let key = self.amf3(depth + 1)?;
            let value = self.amf3(depth + 1)?;
            match key {
                Value::String(name) if !name.is_empty() => pairs.push((name, value)),
                Value::Number(number) if f64::from(number as i32) == number => {
                    pairs.push(((number as i32).to_string(), value));
                }
                _ => {}
            }
        }
        Some(Value::Object(pairs))
    }

    /// The length of an object that follows; `Some(None)` for a reference.
    fn header(&mut self) -> Option<Option<usize>> {
        let announced = self.u29()?;
        if announced & 1 == 0 {
            return (announced >> 1 < self.tables.objects).then_some(None);
        }
        self.tables.objects += 1;
        Some(Some(announced >> 1))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let announced = self.u29()?;
        let number = announced >> 1;
        if announced & 1 == 1 {
            let text = self.take(number)?;
            if !text.is_empty() {
                self.tables.strings.push(text);
            }
            return Some(text);
        }
        let text = *self.tables.strings.get(number)?;
        if number >= MAX_STRINGS {
            return None;
        }
        self.repeated_left = self.repeated_left.checked_sub(text.len())?;
        Some(text)
    }

    fn u29(&mut self) -> Option<usize> {
        let mut number = 0;
        for _ in 0..3 {
            let byte = usize::from(self.byte()?);
            number = number << 7 | byte & 0x7F;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        Some(number << 8 | usize::from(self.byte()?))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
