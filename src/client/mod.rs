//! A client with blocking calls: it publishes streams to other servers, and plays theirs.
