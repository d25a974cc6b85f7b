//! The first byte of each value, which tells its type.

/// AMF0, section 2.1.
pub(in crate::rtmp) mod amf0 {
    pub(in crate::rtmp) const NUMBER: u8 = 0x00;
    pub(in crate::rtmp) const BOOLEAN: u8 = 0x01;
    pub(in crate::rtmp) const STRING: u8 = 0x02;
    pub(in crate::rtmp) const OBJECT: u8 = 0x03;
    pub(in crate::rtmp) const NULL: u8 = 0x05;
    pub(in crate::rtmp) const UNDEFINED: u8 = 0x06;
    pub(in crate::rtmp) const REFERENCE: u8 = 0x07;
    pub(in crate::rtmp) const ECMA_ARRAY: u8 = 0x08;
    pub(in crate::rtmp) const OBJECT_END: u8 = 0x09;
    pub(in crate::rtmp) const STRICT_ARRAY: u8 = 0x0A;
    pub(in crate::rtmp) const DATE: u8 = 0x0B;
    pub(in crate::rtmp) const LONG_STRING: u8 = 0x0C;
    pub(in crate::rtmp) const UNSUPPORTED: u8 = 0x0D;
    pub(in crate::rtmp) const XML_DOCUMENT: u8 = 0x0F;
    pub(in crate::rtmp) const TYPED_OBJECT: u8 = 0x10;
    pub(in crate::rtmp) const AVMPLUS: u8 = 0x11;
}

/// AMF3, section 3.1.
pub(super) mod amf3 {
    pub(in crate::rtmp::amf) const UNDEFINED: u8 = 0x00;
    pub(in crate::rtmp::amf) const NULL: u8 = 0x01;
    pub(in crate::rtmp::amf) const FALSE: u8 = 0x02;
    pub(in crate::rtmp::amf) const TRUE: u8 = 0x03;
    pub(in crate::rtmp::amf) const INTEGER: u8 = 0x04;
    pub(in crate::rtmp::amf) const DOUBLE: u8 = 0x05;
    pub(in crate::rtmp::amf) const STRING: u8 = 0x06;
    pub(in crate::rtmp::amf) const XML_DOCUMENT: u8 = 0x07;
    pub(in crate::rtmp::amf) const DATE: u8 = 0x08;
    pub(in crate::rtmp::amf) const ARRAY: u8 = 0x09;
    pub(in crate::rtmp::amf) const OBJECT: u8 = 0x0A;
    pub(in crate::rtmp::amf) const XML: u8 = 0x0B;
    pub(in crate::rtmp::amf) const BYTE_ARRAY: u8 = 0x0C;
    pub(in crate::rtmp::amf) const VECTOR_INT: u8 = 0x0D;
    pub(in crate::rtmp::amf) const VECTOR_UINT: u8 = 0x0E;
    pub(in crate::rtmp::amf) const VECTOR_DOUBLE: u8 = 0x0F;
    pub(in crate::rtmp::amf) const VECTOR_OBJECT: u8 = 0x10;
    pub(in crate::rtmp::amf) const DICTIONARY: u8 = 0x11;
}
