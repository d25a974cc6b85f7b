//! HTTP and WebSocket. Bytes in, values out.

pub mod websocket;
