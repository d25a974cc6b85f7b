//! WebSocket messages (RFC 6455, 5.2).

/// Longest head of a message that a server sends.
pub const MAX_HEAD_LEN: usize = 10;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The last one.
    Close = 8,
}

/// The head of a whole message, and its length.
pub fn server_frame_head(opcode: Opcode, len: u64) -> ([u8; MAX_HEAD_LEN], usize) {
    let mut head = [0; MAX_HEAD_LEN];
    head[0] = 0x80 | opcode as u8;
    let used = match len {
        0..=125 => {
            head[1] = len as u8;
            2
        }
        126..=0xFFFF => {
            head[1] = 126;
            head[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            head[1] = 127;
            head[2..10].copy_from_slice(&len.to_be_bytes());
            10
        }
    };
    (head, used)
}
