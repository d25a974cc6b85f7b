//! The memory of payloads, and how the reader behaves without it.

use std::cell::Cell;
use std::rc::Rc;

use super::*;

/// A small amount of memory that all payloads share, and that is returned when a payload is cleared.
#[derive(Clone)]
struct Room(Rc<Cell<usize>>);

struct RoomPayload {
    room: Rc<Cell<usize>>,
    bytes: Vec<u8>,
}

impl PayloadSource for Room {
    type Payload = RoomPayload;

    fn payload(&self) -> RoomPayload {
        RoomPayload {
            room: Rc::clone(&self.0),
            bytes: Vec::new(),
        }
    }
}

impl Payload for RoomPayload {
    fn extend(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room.get());
        self.room.set(self.room.get() - taken);
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn clear(&mut self) {
        self.room.set(self.room.get() + self.bytes.len());
        self.bytes.clear();
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> + Clone {
        std::iter::once(self.bytes.as_slice())
    }
}

/// A source that records the last payment for tables.
#[derive(Clone, Default)]
struct Priced(Rc<Cell<usize>>);

impl PayloadSource for Priced {
    type Payload = Vec<u8>;

    fn payload(&self) -> Vec<u8> {
        Vec::new()
    }

    fn pay(&self, bytes: usize) -> Result<(), Error> {
        self.0.set(bytes);
        Ok(())
    }
}

#[test]
fn tables_are_paid_for_at_their_size() {
    let priced = Priced::default();
    let mut reader = ChunkReader::new(priced.clone(), LIMITS);
    for count in 1..=8 {
        let header = b"\0\0\0\0\x10\0\x09\x01\0\0\0";
        let bytes = [&[2 + count], &header[..], &[b'v'; 128]].concat();
        assert_eq!(reader.read(&mut bytes.as_slice().into()), Ok(None));
        let least = size_of::<ChunkStream>() + size_of::<Vec<u8>>();
        assert!(priced.0.get() >= usize::from(count) * least);
    }
}

#[test]
fn reading_goes_on_where_the_memory_ran_out() {
    // After an omitted extended timestamp, bytes are put back. They must survive a lack of memory as
    // well.
    let payload = [[b'v'; 128].as_slice(), b"\x01\x02\x03yz"].concat();
    let bytes = [
        b"\x06\xFF\xFF\xFF\0\0\x85\x09\x01\0\0\0\x01\x02\x03\x04".as_slice(),
        &payload[..128],
        b"\xC6",
        &payload[128..],
    ]
    .concat();
    for step in [1, 2, 3, 50] {
        let room = Room(Rc::default());
        let mut reader = ChunkReader::new(room.clone(), LIMITS);
        let mut input = Bytes::from(bytes.as_slice());
        let mut times = 0;
        let header = loop {
            match reader.read(&mut input) {
                Err(Error::OutOfBlocks) => room.0.set(step),
                result => break result.unwrap().unwrap(),
            }
            times += 1;
        };
        assert_eq!(header.timestamp, 0x0102_0304);
        assert_eq!(reader.assembled().unwrap().bytes, payload);
        assert_eq!(times, 133_usize.div_ceil(step), "in steps of {step}");
    }
}

#[test]
fn without_memory_nothing_is_consumed() {
    let mut reader = ChunkReader::new(Room(Rc::default()), LIMITS);
    let mut input = Bytes::from(&b"\x06\0\0\0\0\0\x05\x09\x01\0\0\0hello"[..]);
    for _ in 0..3 {
        assert_eq!(reader.read(&mut input), Err(Error::OutOfBlocks));
        assert_eq!(input, b"hello"[..]);
    }
}

#[test]
fn memory_is_claimed_for_what_came_not_for_what_was_announced() {
    let room = Room(Rc::new(Cell::new(1000)));
    let mut reader = ChunkReader::new(room.clone(), LIMITS);
    for id in 3..11 {
        let bytes = [vec![id], b"\0\0\0\0\x10\0\x09\x01\0\0\0abc".to_vec()].concat();
        assert_eq!(reader.read(&mut bytes.as_slice().into()), Ok(None));
        let mut rest = Bytes::from(&[b'v'; 125][..]);
        assert_eq!(
            reader.read(&mut rest),
            if id < 10 {
                Ok(None)
            } else {
                Err(Error::OutOfBlocks)
            }
        );
    }
    assert_eq!(room.0.get(), 0);
}

#[test]
fn the_memory_of_a_message_comes_back_with_the_next_read() {
    let room = Room(Rc::new(Cell::new(200)));
    let mut reader = ChunkReader::new(room.clone(), LIMITS);
    let mut input = Bytes::from(&b"\x06\0\0\0\0\0\x05\x09\x01\0\0\0hello"[..]);
    reader.read(&mut input).unwrap().unwrap();
    assert_eq!(room.0.get(), 195);
    assert_eq!(reader.read(&mut input), Ok(None));
    assert_eq!(room.0.get(), 200);
    assert!(reader.assembled().is_none());
}

#[test]
fn the_memory_of_an_aborted_message_comes_back() {
    let room = Room(Rc::new(Cell::new(200)));
    let mut reader = ChunkReader::new(room.clone(), LIMITS);
    let bytes = [b"\x06\0\0\0\0\0\x82\x09\x01\0\0\0".as_slice(), &[b'v'; 128]].concat();
    assert_eq!(reader.read(&mut bytes.as_slice().into()), Ok(None));
    assert_eq!(room.0.get(), 72);
    reader.abort(6);
    assert_eq!(room.0.get(), 200);
}

#[test]
fn new_limits_hold_from_the_next_message_on() {
    let mut reader = ChunkReader::new(Heap, LIMITS);
    let mut input = Bytes::from(&b"\x06\0\0\0\0\x10\0\x09\x01\0\0\0"[..]);
    assert_eq!(reader.read(&mut input), Ok(None));
    reader.set_limits(Limits {
        media: 10,
        ..LIMITS
    });
    let mut rest = vec![b'v'; 128];
    for _ in 1..32 {
        rest.push(0xC6);
        rest.extend_from_slice(&[b'v'; 128]);
    }
    let mut rest = Bytes::from(rest.as_slice());
    assert!(reader.read(&mut rest).unwrap().is_some());
    let mut input = Bytes::from(&b"\xC6"[..]);
    assert!(matches!(
        reader.read(&mut input),
        Err(Error::Limit {
            got: 4096,
            allowed: 10,
            ..
        })
    ));
}
