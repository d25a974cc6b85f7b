//! Reading AMF3: what a [`Reader`] does behind "avmplus".

use super::{MAX_INTEGER, marker};
use crate::rtmp::Error;
use crate::rtmp::amf::{
    Bytes, FrameKind, MAX_STRINGS, MAX_TRAITS, Name, Named, Reader, Text, Token,
};
use crate::rtmp::amf0::limit;
use crate::rtmp::printable::Printable;

/// Classes that write themselves, as exactly one value.
const WRAPPERS: [&[u8]; 3] = [
    b"flex.messaging.io.ArrayCollection",
    b"flex.messaging.io.ArrayList",
    b"flex.messaging.io.ObjectProxy",
];

/// What can be referred to in the value behind one "avmplus": places in the message.
#[derive(Clone, Debug, Default)]
pub(in crate::rtmp) struct Tables {
    /// A value is being read, and no object in it has begun.
    pub(in crate::rtmp) is_reading: bool,
    /// Where the length of each string stands; at most [`MAX_STRINGS`].
    strings: Vec<u32>,
    strings_seen: usize,
    /// Objects so far, whose number alone matters.
    objects: usize,
    /// At most [`MAX_TRAITS`].
    traits: Vec<Traits>,
    traits_seen: usize,
}

impl Tables {
    pub(in crate::rtmp) fn clear(&mut self) {
        *self = Tables::default();
    }
}

/// What is said of a class.
#[derive(Clone, Copy, Debug)]
struct Traits {
    /// Where the class's name stands.
    class_at: u32,
    is_externalizable: bool,
    is_dynamic: bool,
    names: u32,
    /// Where they stand.
    names_at: u32,
}

/// An object or array that has begun, and where in it the reader is.
#[derive(Clone, Copy, Debug)]
pub(in crate::rtmp) enum Inside {
    /// Pairs up to the empty name, then elements.
    Pairs {
        count: u32,
    },
    /// Elements named by their index, since there were pairs before.
    Indexed {
        next: u32,
        count: u32,
    },
    Elements {
        left: u32,
    },
    Sealed {
        left: u32,
        /// Where the next name stands.
        names_at: u32,
        is_dynamic: bool,
        is_repeated: bool,
    },
    /// Pairs up to the empty name.
    Dynamic,
    /// Of a vector.
    Numbers {
        left: u32,
        marker: u8,
    },
    /// Keys may be any value. Texts and whole numbers become names, pairs with other keys are
    /// dropped.
    Dictionary {
        left: u32,
    },
}

/// What a U29 announces.
enum Announced {
    /// A length or count of what follows.
    Inline(usize),
    Reference(usize),
}

impl<'a> Reader<'a> {
    /// What comes next in an object or array whose values lie `depth` deep.
    pub(in crate::rtmp) fn step_amf3(
        &mut self,
        mut inside: Inside,
        depth: usize,
    ) -> Result<Named<'a>, Error> {
        loop {
            inside = match inside {
                Inside::Pairs { count } => {
                    let name = self.string()?;
                    if !name.is_empty() {
                        return self.value_amf3(Name::Text(Text(name)), depth);
                    }
                    self.check_count(count as usize, 1)?;
                    Inside::Indexed { next: 0, count }
                }
                Inside::Indexed { next, count } if next < count => {
                    let following = next + 1;
                    self.go_on(Inside::Indexed {
                        next: following,
                        count,
                    });
                    return self.value_amf3(Name::Index(next as i32), depth);
                }
                Inside::Elements { left } if left > 0 => {
                    self.go_on(Inside::Elements { left: left - 1 });
                    return self.value_amf3(Name::None, depth);
                }
                Inside::Sealed {
                    left: 0,
                    is_dynamic: true,
                    ..
                } => {
                    self.go_on(Inside::Dynamic);
                    Inside::Dynamic
                }
                Inside::Sealed {
                    left,
                    names_at,
                    is_dynamic,
                    is_repeated,
                } if left > 0 => {
                    let (name, names_at) = self.string_at(names_at)?;
                    if is_repeated {
                        self.budget.take_repeated_text(name.len())?;
                    }
                    let next = Inside::Sealed {
                        left: left - 1,
                        names_at,
                        is_dynamic,
                        is_repeated,
                    };
                    self.go_on(next);
                    if !name.is_empty() {
                        return self.value_amf3(Name::Text(Text(name)), depth);
                    }
                    self.drop_value(depth)?;
                    next
                }
                Inside::Dynamic => {
                    let name = self.string()?;
                    if name.is_empty() {
                        return Ok(self.end());
                    }
                    return self.value_amf3(Name::Text(Text(name)), depth);
                }
                Inside::Numbers { left, marker } if left > 0 => {
                    let left = left - 1;
                    self.go_on(Inside::Numbers { left, marker });
                    return Ok(Named {
                        name: Name::None,
                        token: Token::Number(self.number_of_vector(marker)?),
                    });
                }
                Inside::Dictionary { left } if left > 0 => {
                    let next = Inside::Dictionary { left: left - 1 };
                    self.go_on(next);
                    let key = self.value_amf3(Name::None, depth)?.token;
                    self.skip(key)?;
                    match key {
                        Token::String(name) if !name.is_empty() => {
                            return self.value_amf3(Name::Text(name), depth);
                        }
                        Token::Number(number) if f64::from(number as i32) == number => {
                            return self.value_amf3(Name::Index(number as i32), depth);
                        }
                        _ => self.drop_value(depth)?,
                    }
                    next
                }
                _ => return Ok(self.end()),
            };
        }
    }

    fn drop_value(&mut self, depth: usize) -> Result<(), Error> {
        let dropped = self.value_amf3(Name::None, depth)?;
        self.skip(dropped.token)
    }

    /// A value, or the beginning of one, that lies `depth` deep.
    pub(in crate::rtmp) fn value_amf3(
        &mut self,
        name: Name<'a>,
        mut depth: usize,
    ) -> Result<Named<'a>, Error> {
        loop {
            self.budget.take_values(1, depth)?;
            let at = self.position();
            let token = match self.byte("marker")? {
                marker::UNDEFINED => Token::Undefined,
                marker::NULL => Token::Null,
                marker::FALSE => Token::Boolean(false),
                marker::TRUE => Token::Boolean(true),
                marker::INTEGER => Token::Number(self.integer()?.into()),
                marker::DOUBLE => Token::Number(self.number()?),
                marker::STRING => Token::String(Text(self.string()?)),
                marker::XML_DOCUMENT | marker::XML => match self.object_header()? {
                    Some(len) => Token::XmlDocument(Text(self.take(len, "xml document")?)),
                    None => Token::Null,
                },
                marker::BYTE_ARRAY => match self.object_header()? {
                    Some(len) => Token::ByteArray(self.take(len, "byte array")?),
                    None => Token::Null,
                },
                marker::DATE => match self.object_header()? {
                    Some(_) => Token::Date(self.number()?),
                    None => Token::Null,
                },
                marker::ARRAY => self.array(depth)?,
                marker::OBJECT => match self.object(depth)? {
                    Some(token) => token,
                    // The value that it wraps stands for it.
                    None => {
                        depth += 1;
                        continue;
                    }
                },
                vector @ (marker::VECTOR_INT | marker::VECTOR_UINT | marker::VECTOR_DOUBLE) => {
                    self.vector(vector, depth)?
                }
                marker::VECTOR_OBJECT => match self.object_header()? {
                    Some(count) => {
                        self.byte("fixed flag")?;
                        self.string()?;
                        self.check_count(count, 1)?;
                        self.strict_array(count, depth)?
                    }
                    None => Token::Null,
                },
                marker::DICTIONARY => match self.object_header()? {
                    Some(count) => {
                        self.byte("weak flag")?;
                        self.check_count(count, 2)?;
                        let left = count as u32;
                        self.begin(depth, FrameKind::Amf3(Inside::Dictionary { left }))?;
                        Token::Object
                    }
                    None => Token::Null,
                },
                other => {
                    return Err(Error::malformed(format!(
                        "amf3 marker {other:#04x} at byte {at}, expected a value"
                    )));
                }
            };
            return Ok(Named { name, token });
        }
    }

    /// With pairs it is an ECMA array, in which the elements are named by their index.
    fn array(&mut self, depth: usize) -> Result<Token<'a>, Error> {
        let Some(count) = self.object_header()? else {
            return Ok(Token::Null);
        };
        let first = self.peek_string()?;
        if first.is_empty() {
            self.string()?;
            self.check_count(count, 1)?;
            return self.strict_array(count, depth);
        }
        let count = count as u32;
        self.begin(depth, FrameKind::Amf3(Inside::Pairs { count }))?;
        Ok(Token::EcmaArray)
    }

    fn strict_array(&mut self, count: usize, depth: usize) -> Result<Token<'a>, Error> {
        let left = count as u32;
        self.begin(depth, FrameKind::Amf3(Inside::Elements { left }))?;
        Ok(Token::StrictArray(left))
    }

    /// The beginning of an object, or `None` when it is a wrapper whose value follows.
    fn object(&mut self, depth: usize) -> Result<Option<Token<'a>>, Error> {
        let announced = self.u29()?;
        if announced & 1 == 0 {
            return self.object_reference(announced as usize >> 1).map(Some);
        }
        let is_repeated = announced & 2 == 0;
        let traits = if is_repeated {
            self.repeated_traits(announced as usize >> 2)?
        } else {
            self.inline_traits(announced)?
        };
        self.tables.objects += 1;
        if traits.is_externalizable {
            let (class, _) = self.string_at(traits.class_at)?;
            if WRAPPERS.iter().any(|wrapper| class == **wrapper) {
                return Ok(None);
            }
            let at = self.position();
            let class = Text(class).to_string_of(40);
            let class = Printable(&class);
            return Err(Error::unsupported(format!(
                "amf3 object of class \"{class}\" at byte {at}, which has a format of its own"
            )));
        }
        let inside = Inside::Sealed {
            left: traits.names,
            names_at: traits.names_at,
            is_dynamic: traits.is_dynamic,
            is_repeated,
        };
        self.begin(depth, FrameKind::Amf3(inside))?;
        Ok(Some(Token::Object))
    }

    fn repeated_traits(&self, index: usize) -> Result<Traits, Error> {
        let (tables, at) = (&self.tables, self.position());
        match tables.traits.get(index) {
            Some(traits) => Ok(*traits),
            None if index < tables.traits_seen => {
                Err(limit("classes in amf3 to refer to", MAX_TRAITS))
            }
            None => Err(no_reference("traits", index, tables.traits_seen, at)),
        }
    }

    /// Reads traits and enters them in their table.
    fn inline_traits(&mut self, announced: u32) -> Result<Traits, Error> {
        let is_externalizable = announced & 4 != 0;
        let count = if is_externalizable {
            0
        } else {
            announced as usize >> 4
        };
        let class_at = self.position() as u32;
        self.string()?;
        self.check_count(count, 1)?;
        let names_at = self.position() as u32;
        for _ in 0..count {
            self.string()?;
        }
        let traits = Traits {
            class_at,
            is_externalizable,
            is_dynamic: announced & 8 != 0,
            names: count as u32,
            names_at,
        };
        self.tables.traits_seen += 1;
        if self.tables.traits.len() < MAX_TRAITS {
            self.tables.traits.push(traits);
        }
        Ok(traits)
    }

    fn vector(&mut self, marker: u8, depth: usize) -> Result<Token<'a>, Error> {
        let Some(count) = self.object_header()? else {
            return Ok(Token::Null);
        };
        self.byte("fixed flag")?;
        let size = if marker == marker::VECTOR_DOUBLE {
            8
        } else {
            4
        };
        self.check_count(count, size)?;
        self.budget.take_values(count, depth + 1)?;
        let left = count as u32;
        self.begin(depth, FrameKind::Amf3(Inside::Numbers { left, marker }))?;
        Ok(Token::StrictArray(left))
    }

    fn number_of_vector(&mut self, marker: u8) -> Result<f64, Error> {
        if marker == marker::VECTOR_DOUBLE {
            return self.number();
        }
        let bytes = self.take(4, "vector")?.to_array();
        Ok(match marker {
            marker::VECTOR_INT => i32::from_be_bytes(bytes).into(),
            _ => u32::from_be_bytes(bytes).into(),
        })
    }

    /// The length or count of an object that follows, which is entered in the table before its
    /// content is read; `None` for a reference.
    fn object_header(&mut self) -> Result<Option<usize>, Error> {
        match self.announced()? {
            Announced::Inline(count) => {
                self.tables.objects += 1;
                Ok(Some(count))
            }
            Announced::Reference(index) => self.object_reference(index).map(|_| None),
        }
    }

    fn object_reference(&self, index: usize) -> Result<Token<'a>, Error> {
        let objects = self.tables.objects;
        if index < objects {
            return Ok(Token::Null);
        }
        Err(no_reference("object", index, objects, self.position()))
    }

    /// The empty string is never in the table.
    fn string(&mut self) -> Result<Bytes<'a>, Error> {
        let at = self.position() as u32;
        match self.announced()? {
            Announced::Inline(0) => Ok(Bytes::default()),
            Announced::Inline(len) => {
                let text = self.take(len, "string")?;
                self.tables.strings_seen += 1;
                if self.tables.strings.len() < MAX_STRINGS {
                    self.tables.strings.push(at);
                }
                Ok(text)
            }
            Announced::Reference(index) => {
                let text = self.repeated_string(index)?;
                self.budget.take_repeated_text(text.len())?;
                Ok(text)
            }
        }
    }

    fn repeated_string(&self, index: usize) -> Result<Bytes<'a>, Error> {
        let (tables, at) = (&self.tables, self.position());
        match tables.strings.get(index) {
            Some(at) => Ok(self.string_at(*at)?.0),
            None if index < tables.strings_seen => {
                Err(limit("strings in amf3 to refer to", MAX_STRINGS))
            }
            None => Err(no_reference("string", index, tables.strings_seen, at)),
        }
    }

    /// The string that comes next; it will be read again.
    fn peek_string(&mut self) -> Result<Bytes<'a>, Error> {
        let before = self.bytes;
        let text = match self.announced()? {
            Announced::Inline(len) => self.take(len, "string")?,
            Announced::Reference(index) => self.repeated_string(index)?,
        };
        self.bytes = before;
        Ok(text)
    }

    /// The string at a place that has been read before, and where it ends.
    fn string_at(&self, at: u32) -> Result<(Bytes<'a>, u32), Error> {
        let gone = || Error::malformed("amf3 string that is gone");
        let (_, from) = self.all.split_at(at as usize).ok_or_else(gone)?;
        let (announced, rest) = u29(from).ok_or_else(gone)?;
        let end_of = |rest: Bytes<'a>| (self.all.len() - rest.len()) as u32;
        let index = announced as usize >> 1;
        if announced & 1 == 0 {
            return Ok((self.repeated_string(index)?, end_of(rest)));
        }
        let (text, rest) = rest.split_at(index).ok_or_else(gone)?;
        Ok((text, end_of(rest)))
    }

    /// An element has at least `size` bytes: a count is never believed.
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

    fn u29(&mut self) -> Result<u32, Error> {
        match u29(self.bytes) {
            Some((number, rest)) => {
                self.bytes = rest;
                Ok(number)
            }
            None => {
                // It says at which byte.
                self.bytes = self.bytes.split_at(self.bytes.len()).unwrap_or_default().1;
                self.byte("integer").map(u32::from)
            }
        }
    }
}

/// Forms that are longer than needed are taken as well.
fn u29(bytes: Bytes<'_>) -> Option<(u32, Bytes<'_>)> {
    let mut number = 0;
    let mut bytes = bytes;
    for index in 0..4 {
        let byte = bytes.first()?;
        bytes = bytes.split_at(1)?.1;
        if index == 3 {
            return Some((number << 8 | u32::from(byte), bytes));
        }
        number = number << 7 | u32::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((number, bytes))
}

fn no_reference(what: &str, index: usize, count: usize, at: usize) -> Error {
    Error::malformed(format!(
        "amf3 reference to {what} {index} before byte {at}, but there are {count}"
    ))
}
