//! The callbacks of a program that embeds the server: decisions and notifications.

use std::borrow::Cow;
use std::fmt;

use crate::http::query;
use crate::rtmp::amf::Properties;
use crate::rtmp::stream_key::{StreamKey, query_value};

pub use super::client::{Client, Protocol};

/// Decides who may do what, and is notified of events. The default of each method accepts and does
/// nothing.
///
/// ```text
/// connect ── publish ── metadata ... ── unpublish ── disconnect
///         └─ play ── stop ─────────────────────────┘
/// ```
///
/// - The access rules of the configuration (keys, users, networks) are checked first.
/// - A handler is called on the thread of the connection that the call is about, and may block: only
///   that connection waits. A play over HLS outlives its connections; `stop` is then called on another
///   thread.
/// - Each connect, publish and play that was accepted is followed by its counterpart, even if the client
///   vanishes. Clients over HTTP don't connect and disconnect: they only play.
///
/// ```
/// use brooklet::{Client, Handler, Refusal, StreamKey, StreamRequest};
///
/// /// Lets one camera in, whose name can't be changed, and shows it under a better one.
/// struct Doorman;
///
/// impl Handler for Doorman {
///     fn publish(&self, _: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
///         if request.key().as_str() != "live/IPCAM_0042" {
///             return Err(Refusal::new("it isn't on the list of cameras"));
///         }
///         let key = StreamKey::new("live", "yard");
///         request.set_key(key.map_err(|error| Refusal::new(error.to_string()))?);
///         Ok(())
///     }
///
///     fn unpublish(&self, client: &Client, stream: &StreamKey) {
///         println!("{client} has stopped publishing {stream}");
///     }
/// }
/// ```
#[allow(unused_variables)] // The names of the parameters are documentation.
pub trait Handler: Send + Sync {
    /// Decides about a client that wants to connect over RTMP.
    fn connect(&self, client: &mut Client) -> Result<(), Refusal> {
        Ok(())
    }

    /// Called when a client whose connect was accepted is gone.
    fn disconnect(&self, client: &Client) {}

    /// Decides about a client that wants to publish. The handler may also change the name of the stream.
    fn publish(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Called when a publish has ended. Players of the stream may still wait for the next one.
    fn unpublish(&self, client: &Client, stream: &StreamKey) {}

    /// Decides about a client that wants to play. The handler may also change the stream that it plays.
    ///
    /// Over HLS, a play consists of all requests for the same stream with the same query from one
    /// program at one address, until there has been none for 15 seconds. The handler is asked about the
    /// first of these requests.
    fn play(&self, client: &Client, request: &mut StreamRequest<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Called when a play has ended.
    fn stop(&self, client: &Client, stream: &StreamKey) {}

    /// Called when a publisher has sent metadata for its stream, or withdrawn it (`None`). The
    /// properties are read from the message itself, in the order in which they were sent:
    /// [find](Properties::find) one, or clone the view and iterate over all.
    fn metadata(&self, client: &Client, stream: &StreamKey, properties: Option<&Properties<'_>>) {}
}

/// The handler of a server without one of its own.
pub(super) struct AcceptAll;

impl Handler for AcceptAll {}

/// A publish or play that waits for a decision.
#[derive(Clone, Debug)]
pub struct StreamRequest<'a> {
    pub(super) client: &'a Client,
    name: &'a str,
    /// The query of an HTTP request, percent-encoded.
    pub(super) query: Option<&'a str>,
    key: StreamKey,
    is_trusted: bool,
    /// Whether the name contains a secret, so that `key` is only the part that may be shown. The client
    /// must not learn whether the secret is a right one.
    pub(super) is_hidden: bool,
}

impl<'a> StreamRequest<'a> {
    pub(super) fn new(client: &'a Client, name: &'a str, key: StreamKey) -> StreamRequest<'a> {
        StreamRequest {
            client,
            name,
            query: None,
            key,
            is_trusted: false,
            is_hidden: false,
        }
    }

    pub(super) fn over_http(
        client: &'a Client,
        key: &'a StreamKey,
        query: Option<&'a str>,
    ) -> StreamRequest<'a> {
        StreamRequest {
            query,
            ..StreamRequest::new(client, key.as_str(), key.clone())
        }
    }

    /// Replaces a name that may contain a secret with the form that may be shown, in the log and
    /// elsewhere.
    pub(super) fn hide(&mut self, shown: StreamKey) {
        self.key = shown;
        self.is_hidden = true;
    }

    /// Sets the name of the stream, which contains no secret.
    pub(super) fn show(&mut self, key: StreamKey) {
        self.key = key;
        self.is_hidden = false;
    }

    /// The name of the requested stream.
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Replaces the requested stream with another one.
    pub fn set_key(&mut self, key: StreamKey) {
        self.key = key;
    }

    /// The name as the client sent it, over RTMP with its query.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The value of a parameter in the query of the name or, failing that, of the app or the URL. Over
    /// HTTP the value is percent-decoded, unless that would give an `&`.
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        if let Some(query) = self.query {
            return query::value(query, name);
        }
        let value = query_value(self.name, name).or_else(|| self.client.query_value(name));
        value.map(Cow::Borrowed)
    }

    /// Whether the client has proved that the stream is its own.
    pub fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// Notes that the client has proved that the stream is its own. The client may then take the stream
    /// over from a publisher at another address, which is assumed to be its own earlier connection.
    pub fn trust(&mut self) {
        self.is_trusted = true;
    }
}

/// The reason why a client is refused.
///
/// ```
/// use brooklet::Refusal;
///
/// let refusal = Refusal::new("the stream belongs to camera 7").with_description("not your stream");
/// assert_eq!(refusal.reason(), "the stream belongs to camera 7"); // logged
/// assert_eq!(refusal.description(), "not your stream"); // shown to the client
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    reason: String,
    description: Option<String>,
    kind: RefusalKind,
}

/// The kinds of refusals that protocols distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefusalKind {
    Forbidden,
    /// Credentials are missing or wrong.
    Unauthorized,
    /// A normal step: the client is expected to reconnect, for example with credentials.
    Step,
    TooManyAttempts,
    ServerStops,
}

impl Refusal {
    /// Creates a refusal whose reason is logged and shown to the client.
    pub fn new(reason: impl Into<String>) -> Refusal {
        Refusal {
            reason: reason.into(),
            description: None,
            kind: RefusalKind::Forbidden,
        }
    }

    /// Creates a refusal that is part of a normal exchange, such as the request for a password. Nothing
    /// is wrong, so it isn't logged as a warning.
    pub fn step(reason: impl Into<String>) -> Refusal {
        Refusal::new(reason).with_kind(RefusalKind::Step)
    }

    /// Shows the client this text of at most 250 bytes instead of the reason.
    pub fn with_description(self, description: impl Into<String>) -> Refusal {
        Refusal {
            description: Some(description.into()),
            ..self
        }
    }

    pub(super) fn with_kind(self, kind: RefusalKind) -> Refusal {
        Refusal { kind, ..self }
    }

    pub(super) fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// Whether the refusal is part of a normal exchange.
    pub fn is_step(&self) -> bool {
        matches!(self.kind, RefusalKind::Step | RefusalKind::ServerStops)
    }

    /// The text for the log.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The text for the client.
    pub fn description(&self) -> &str {
        self.description.as_deref().unwrap_or(&self.reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::server_session::Connect;

    #[test]
    fn a_query_is_read_over_both_protocols() {
        let address = "192.0.2.7:40000".parse().unwrap();
        let key = StreamKey::new("live", "door").unwrap();
        let client = Client::over_http(1, address, address, "curl/8");
        let query = Some("note=a%20b&key=s3cret&other=a%26b");
        let request = StreamRequest::over_http(&client, &key, query);
        assert_eq!(request.name(), "live/door");
        assert_eq!(request.query_value("note").as_deref(), Some("a b"));
        assert_eq!(request.query_value("other").as_deref(), Some("a%26b"));
        assert_eq!(request.query_value("none"), None);

        let mut client = Client::new(1, address, address);
        client.connect = Connect {
            app: "live?note=app".into(),
            tc_url: "rtmp://h/live?note=url&key=url".into(),
            ..Connect::default()
        };
        let request = StreamRequest::new(&client, "door?note=a%20b", key);
        assert_eq!(request.name(), "door?note=a%20b");
        assert_eq!(request.query_value("note").as_deref(), Some("a%20b"));
        assert_eq!(request.query_value("key").as_deref(), Some("url"));
    }
}
