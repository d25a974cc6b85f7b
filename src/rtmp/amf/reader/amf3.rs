//! The part of the reader that decodes AMF3, after the marker "avmplus".

use super::{OpenKind, Reader};
use crate::rtmp::Error;
use crate::rtmp::amf::marker::amf3 as marker;
use crate::rtmp::amf::text::Text;
use crate::rtmp::amf::token::{Name, Named, Token};
use crate::rtmp::printable::Printable;

/// Externalizable classes whose content is exactly one value.
const WRAPPERS: [&[u8]; 3] = [
    b"flex.messaging.io.ArrayCollection",
    b"flex.messaging.io.ArrayList",
    b"flex.messaging.io.ObjectProxy",
];

/// The reader's position in an object or array that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) enum Amf3Position {
    /// Pairs up to the empty name, then elements.
    Pairs {
        count: u32,
    },
    /// Elements that are named by their index, since the array also has named pairs.
    Indexed {
        next: u32,
        count: u32,
    },
    Elements {
        left: u32,
    },
    Sealed {
        left: u32,
        /// The position of the next name.
        names_at: u32,
        is_dynamic: bool,
        is_repeated: bool,
    },
    /// The dynamic members of an object: pairs up to the empty name.
    Dynamic,
    /// The elements of a vector.
    Numbers {
        left: u32,
        marker: u8,
    },
    /// The pairs of a dictionary. Keys may be any value: strings and whole numbers become names, and
    /// pairs with other keys are dropped.
    Dictionary {
        left: u32,
    },
}

impl<'a> Reader<'a> {
    /// Reads the next token of an object or array whose values lie `depth` deep.
    pub(super) fn step_amf3(
        &mut self,
        mut inside: Amf3Position,
        depth: usize,
    ) -> Result<Named<'a>, Error> {
        loop {
            inside = match inside {
                Amf3Position::Pairs { count } => {
                    let name = self.string()?;
                    if !name.is_empty() {
                        return self.value_amf3(Name::Text(Text(name)), depth);
                    }
                    self.check_count(count as usize, 1)?;
                    Amf3Position::Indexed { next: 0, count }
                }
                Amf3Position::Indexed { next, count } if next < count => {
                    let following = next + 1;
                    self.go_on(Amf3Position::Indexed {
                        next: following,
                        count,
                    });
                    return self.value_amf3(Name::Index(next as i32), depth);
                }
                Amf3Position::Elements { left } if left > 0 => {
                    self.go_on(Amf3Position::Elements { left: left - 1 });
                    return self.value_amf3(Name::None, depth);
                }
                Amf3Position::Sealed {
                    left: 0,
                    is_dynamic: true,
                    ..
                } => {
                    self.go_on(Amf3Position::Dynamic);
                    Amf3Position::Dynamic
                }
                Amf3Position::Sealed {
                    left,
                    names_at,
                    is_dynamic,
                    is_repeated,
                } if left > 0 => {
                    let (name, names_at) = self.string_at(names_at)?;
                    if is_repeated {
                        self.budget.take_repeated_text(name.len())?;
                    }
                    let next = Amf3Position::Sealed {
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
                Amf3Position::Dynamic => {
                    let name = self.string()?;
                    if name.is_empty() {
                        return Ok(self.end());
                    }
                    return self.value_amf3(Name::Text(Text(name)), depth);
                }
                Amf3Position::Numbers { left, marker } if left > 0 => {
                    let left = left - 1;
                    self.go_on(Amf3Position::Numbers { left, marker });
                    return Ok(Named {
                        name: Name::None,
                        token: Token::Number(self.number_of_vector(marker)?),
                    });
                }
                Amf3Position::Dictionary { left } if left > 0 => {
                    let next = Amf3Position::Dictionary { left: left - 1 };
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

    /// Reads a value at nesting depth `depth`, or the beginning of an object or array.
    pub(super) fn value_amf3(
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
                marker::OBJECT => match self.object(depth)? {
                    Some(token) => token,
                    // The wrapped value is returned in place of its wrapper.
                    None => {
                        depth += 1;
                        continue;
                    }
                },
                marker @ (marker::DATE
                | marker::ARRAY
                | marker::XML_DOCUMENT
                | marker::XML
                | marker::BYTE_ARRAY
                | marker::VECTOR_INT
                | marker::VECTOR_UINT
                | marker::VECTOR_DOUBLE
                | marker::VECTOR_OBJECT
                | marker::DICTIONARY) => match self.object_header()? {
                    Some(len) => self.long_value(marker, len, depth)?,
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

    /// Reads a value that begins with a length or count, or the beginning of such an object or array.
    fn long_value(&mut self, marker: u8, len: usize, depth: usize) -> Result<Token<'a>, Error> {
        let left = len as u32;
        let (token, position) = match marker {
            marker::DATE => return self.number().map(Token::Date),
            marker::BYTE_ARRAY => return self.take(len, "byte array").map(Token::ByteArray),
            marker::XML_DOCUMENT | marker::XML => {
                return Ok(Token::XmlDocument(Text(self.take(len, "xml document")?)));
            }
            // An array that also has named pairs becomes an ECMA array; its elements are named by their
            // index.
            marker::ARRAY if !self.peek_string()?.is_empty() => {
                (Token::EcmaArray, Amf3Position::Pairs { count: left })
            }
            marker::ARRAY => {
                self.string()?;
                self.check_count(len, 1)?;
                (Token::StrictArray(left), Amf3Position::Elements { left })
            }
            marker::DICTIONARY => {
                self.byte("weak flag")?;
                self.check_count(len, 2)?;
                (Token::Object, Amf3Position::Dictionary { left })
            }
            marker::VECTOR_OBJECT => {
                self.byte("fixed flag")?;
                self.string()?;
                self.check_count(len, 1)?;
                (Token::StrictArray(left), Amf3Position::Elements { left })
            }
            _ => {
                self.byte("fixed flag")?;
                let is_double = marker == marker::VECTOR_DOUBLE;
                self.check_count(len, if is_double { 8 } else { 4 })?;
                self.budget.take_values(len, depth + 1)?;
                (
                    Token::StrictArray(left),
                    Amf3Position::Numbers { left, marker },
                )
            }
        };
        self.begin(depth, OpenKind::Amf3(position))?;
        Ok(token)
    }

    /// Reads the beginning of an object, or returns `None` for a wrapper, whose value follows.
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
        let inside = Amf3Position::Sealed {
            left: traits.names,
            names_at: traits.names_at,
            is_dynamic: traits.is_dynamic,
            is_repeated,
        };
        self.begin(depth, OpenKind::Amf3(inside))?;
        Ok(Some(Token::Object))
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
}

#[cfg(test)]
mod tests;
