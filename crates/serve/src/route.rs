//! The routes and calls that a server answers, one row for each.
//!
//! Dispatch, limits, load shedding, the metric of requests and the tests all read the same rows, so a new
//! route is one new row. A path is matched without allocating: rows share the literal beginning of their
//! patterns, and only the rows of a path's own beginning are compared.

use http::{Method, Request};

use crate::middleware::Protocol;

/// One route or call.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// As the metric of requests names it. Rows may share a name.
    pub name: &'static str,
    pub call: Call,
    pub pattern: Pattern,
    /// The largest body, in bytes; of a gRPC call the largest message.
    pub body_bytes_max: usize,
    pub load: Load,
    pub action: Action,
}

impl Route {
    /// Whether it is plain HTTP that shows what anybody may see, so that web pages may read it too.
    pub fn is_public(&self) -> bool {
        self.call == Call::Get && matches!(self.action, Action::ReadLog | Action::ReadWitness)
    }

    /// Whether it is called with this method. A browser asks by OPTIONS before a page reads.
    fn takes(&self, method: &Method) -> bool {
        self.call.takes(method) || (self.is_public() && method == Method::OPTIONS)
    }
}

/// How a row is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Plain HTTP, GET or HEAD.
    Get,
    /// Plain HTTP, POST.
    Post,
    /// Plain HTTP, DELETE.
    Delete,
    /// Plain HTTP, OPTIONS: some senders ask before they send.
    Options,
    /// gRPC with one request message.
    Unary,
    /// gRPC with any number of request messages.
    Streaming,
}

impl Call {
    /// Whether it is a call of gRPC.
    pub const fn is_grpc(self) -> bool {
        matches!(self, Self::Unary | Self::Streaming)
    }

    /// Whether it is called with this method.
    pub fn takes(self, method: &Method) -> bool {
        match self {
            Self::Get => method == Method::GET || method == Method::HEAD,
            Self::Delete => method == Method::DELETE,
            Self::Options => method == Method::OPTIONS,
            Self::Post | Self::Unary | Self::Streaming => method == Method::POST,
        }
    }
}

/// What becomes of a request when the server has as many in flight as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Refused at once.
    Shed,
    /// Answered: it tells an overloaded server from a dead one.
    Always,
}

/// What a call does to the server: rights are decided by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Whether the server lives, and what its API is.
    Probe,
    /// What an operator reads about the server.
    Operate,
    /// What a log shows.
    ReadLog,
    AppendToLog,
    /// What an audit log shows.
    ReadEvents,
    RecordEvents,
    /// Events that leave in an evidence file.
    ExportEvents,
    /// Creating and freezing logs.
    ManageLogs,
    /// What a witness shows.
    ReadWitness,
    /// Heads and subtrees to be cosigned.
    AskWitness,
    /// What witnesses tell one another.
    Gossip,
}

/// A path with at most one variable segment: `/literal`, `/literal/{segment}/literal` or
/// `/literal/{segment}/literal/{rest..}`, where the rest is all of the path behind, and not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: &'static str,
    prefix: &'static str,
    tail: Tail,
}

/// What follows the literal beginning of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Literal(&'static str),
    Segment { after: &'static str, has_rest: bool },
}

/// The variable parts of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params<'p> {
    /// Empty if the pattern has no variable segment.
    pub segment: &'p str,
    /// What follows the segment and its slash.
    pub tail: &'p str,
}

const REST: &str = "{rest..}";

impl Pattern {
    /// Reads a pattern. In a constant, a text that is no pattern does not compile.
    ///
    /// # Panics
    ///
    /// If it does not begin with a slash, or a segment does not end.
    pub const fn new(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        assert!(!bytes.is_empty() && bytes[0] == b'/', "a pattern begins with a slash");
        let opened = position(bytes, b'{', 0);
        if opened == bytes.len() {
            let mut name = bytes.len();
            while bytes[name - 1] != b'/' {
                name -= 1;
            }
            let (prefix, name) = text.split_at(name);
            return Self { text, prefix, tail: Tail::Literal(name) };
        }
        let closed = position(bytes, b'}', opened);
        assert!(closed < bytes.len(), "a variable segment ends");
        let (prefix, _) = text.split_at(opened);
        let (_, after) = text.split_at(closed + 1);
        let rest = position(after.as_bytes(), b'{', 0);
        let (after, rest) = after.split_at(rest);
        assert!(rest.is_empty() || rest.len() == REST.len(), "a rest is spelled {{rest..}}");
        Self { text, prefix, tail: Tail::Segment { after, has_rest: !rest.is_empty() } }
    }

    /// As it is written.
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// The variable parts of a path that fits.
    pub fn params<'p>(&self, path: &'p str) -> Option<Params<'p>> {
        self.tail.params(path.strip_prefix(self.prefix)?)
    }

    /// A path that fits: `segment` and `rest` in the variable places.
    pub fn fill(&self, segment: &str, rest: &str) -> String {
        match self.tail {
            Tail::Literal(_) => self.text.to_owned(),
            Tail::Segment { after, has_rest } => {
                let rest = if has_rest { rest } else { "" };
                format!("{}{segment}{after}{rest}", self.prefix)
            }
        }
    }
}

/// The position of the first `wanted` from `at` on; the length if there is none.
const fn position(bytes: &[u8], wanted: u8, mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != wanted {
        at += 1;
    }
    at
}

impl Tail {
    fn params(self, path: &str) -> Option<Params<'_>> {
        match self {
            Self::Literal(name) => (path == name).then_some(Params { segment: "", tail: "" }),
            Self::Segment { after, has_rest } => {
                let end = path.find('/').unwrap_or(path.len());
                let (segment, tail) = path.split_at(end);
                let fits = if has_rest {
                    tail.len() > after.len() && tail.starts_with(after)
                } else {
                    tail == after
                };
                let tail = tail.strip_prefix('/').unwrap_or(tail);
                (fits && !segment.is_empty()).then_some(Params { segment, tail })
            }
        }
    }
}

/// The rows of a server, each with what answers it.
#[derive(Debug)]
pub struct RouteTable<T: 'static> {
    rows: &'static [(Route, T)],
    groups: Vec<Group>,
}

/// The rows whose patterns begin alike.
#[derive(Debug)]
struct Group {
    prefix: &'static str,
    rows: Vec<RowAt>,
}

/// The place of a row in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowAt(pub(crate) usize);

/// What a table has for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<T: 'static> {
    Row {
        at: RowAt,
        route: &'static Route,
        to: T,
    },
    /// The path is that of a row, the method is not.
    WrongMethod {
        at: RowAt,
    },
    Nothing,
}

impl<T: Copy> RouteTable<T> {
    /// A table of these rows. If two rows fit a path, the one with the longer literal beginning is
    /// taken, and of equal ones the first.
    pub fn new(rows: &'static [(Route, T)]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (at, (route, _)) in rows.iter().enumerate() {
            let prefix = route.pattern.prefix;
            match groups.iter_mut().find(|group| group.prefix == prefix) {
                Some(group) => group.rows.push(RowAt(at)),
                None => groups.push(Group { prefix, rows: vec![RowAt(at)] }),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.prefix.len()));
        Self { rows, groups }
    }

    /// The rows, in their order.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &'static Route> {
        self.rows.iter().map(|(route, _)| route)
    }

    pub(crate) fn find(&self, path: &str, method: &Method) -> Found<T> {
        let mut wrong = None;
        for group in &self.groups {
            let Some(rest) = path.strip_prefix(group.prefix) else { continue };
            for &at in &group.rows {
                let (route, to) = &self.rows[at.0];
                if route.pattern.tail.params(rest).is_none() {
                    continue;
                }
                if route.takes(method) {
                    return Found::Row { at, route, to: *to };
                }
                wrong.get_or_insert(at);
            }
        }
        wrong.map_or(Found::Nothing, |at| Found::WrongMethod { at })
    }

    /// The methods of the rows that share the pattern of this one, as `Allow` lists them.
    pub(crate) fn allow(&self, at: RowAt) -> &'static str {
        let pattern = self.rows[at.0].0.pattern;
        let rows = || self.routes().filter(|route| route.pattern == pattern);
        let gets = rows().any(|route| route.call.takes(&Method::GET));
        let posts = rows().any(|route| route.call.takes(&Method::POST));
        let deletes = rows().any(|route| route.call == Call::Delete);
        let options = rows().any(|route| route.call == Call::Options);
        match (gets, posts) {
            (true, false) if deletes => "GET, HEAD, DELETE",
            (true, true) => "GET, HEAD, POST",
            (true, false) => "GET, HEAD",
            (false, _) if options => "OPTIONS, POST",
            (false, _) => "POST",
        }
    }
}

/// A request whose row is known.
#[derive(Debug)]
pub struct Matched<B, T> {
    pub request: Request<B>,
    pub protocol: Protocol,
    pub route: &'static Route,
    /// What answers the row.
    pub to: T,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const fn row(name: &'static str, call: Call, pattern: &'static str) -> Route {
        let load = if matches!(call, Call::Get) { Load::Always } else { Load::Shed };
        let pattern = Pattern::new(pattern);
        Route { name, call, pattern, body_bytes_max: 10, load, action: Action::ReadLog }
    }

    pub(crate) static ROWS: [(Route, char); 8] = [
        (row("call", Call::Unary, "/a.B/Call"), 'c'),
        (row("stream", Call::Streaming, "/a.B/Stream"), 's'),
        (row("add", Call::Post, "/logs/{log}/add"), 'a'),
        (row("bundle", Call::Get, "/logs/{log}/tile/entries/{rest..}"), 'b'),
        (row("tile", Call::Get, "/logs/{log}/tile/{rest..}"), 't'),
        (row("health", Call::Get, "/health"), 'h'),
        (row("health", Call::Post, "/health"), 'd'),
        (row("page", Call::Get, "/{page}/text"), 'p'),
    ];

    /// A request of the test's rows, as the layer that finds rows hands it on.
    pub(crate) fn matched(request: Request<()>) -> Matched<(), char> {
        let protocol = Protocol::of(request.headers());
        let path = request.uri().path();
        let fits = |(route, _): &&(Route, char)| route.pattern.params(path).is_some();
        // Every other path is one of a page.
        let (route, to) = ROWS.iter().find(fits).unwrap_or(&ROWS[7]);
        Matched { request, protocol, route, to: *to }
    }

    /// The same, of a row with its own call and limit.
    pub(crate) fn matched_as(
        request: Request<()>,
        call: Call,
        body_bytes_max: usize,
    ) -> Matched<(), char> {
        let matched = matched(request);
        let route = Box::leak(Box::new(Route { call, body_bytes_max, ..*matched.route }));
        Matched { route, ..matched }
    }

    fn found(path: &str, method: &Method) -> Result<char, &'static str> {
        let table = RouteTable::new(&ROWS);
        match table.find(path, method) {
            Found::Row { at, route, to } => {
                assert_eq!(table.routes().nth(at.0).unwrap().pattern, route.pattern);
                Ok(to)
            }
            Found::WrongMethod { at } => Err(table.allow(at)),
            Found::Nothing => Err(""),
        }
    }

    #[test]
    fn a_path_and_a_method_are_those_of_one_row() {
        for (path, method, expected) in [
            ("/a.B/Call", Method::POST, Ok('c')),
            ("/a.B/Stream", Method::POST, Ok('s')),
            ("/a.B/Call", Method::GET, Err("POST")),
            ("/logs/x/add", Method::POST, Ok('a')),
            ("/logs/x/add", Method::PUT, Err("POST")),
            ("/logs/x/tile/entries/000", Method::GET, Ok('b')),
            ("/logs/x/tile/0/000", Method::HEAD, Ok('t')),
            ("/logs/x/tile/0/000", Method::POST, Err("GET, HEAD")),
            ("/health", Method::GET, Ok('h')),
            ("/health", Method::POST, Ok('d')),
            ("/health", Method::DELETE, Err("GET, HEAD, POST")),
            ("/logs/text", Method::GET, Ok('p')),
            ("/x/text", Method::GET, Ok('p')),
        ] {
            assert_eq!(found(path, &method), expected, "{method} {path}");
        }
        for path in [
            "",
            "/",
            "/a.B/",
            "/a.B/Call/",
            "/a.B/call",
            "/a.C/Call",
            "//health",
            "/health/",
            "/logs//add",
            "/logs/x/add/",
            "/logs/x/y/add",
            "/logs/x/tile/",
            "/logs/x/tile",
            "//text",
        ] {
            assert_eq!(found(path, &Method::GET), Err(""), "{path}");
        }
    }

    #[test]
    fn the_variable_parts_of_a_path_are_found_and_filled_in() {
        let pattern = Pattern::new("/logs/{log}/tile/{rest..}");
        let path = pattern.fill("x", "0/000");
        assert_eq!(path, "/logs/x/tile/0/000");
        assert_eq!(pattern.params(&path), Some(Params { segment: "x", tail: "tile/0/000" }));
        assert_eq!(pattern.params("/logs/x/add"), None);
        let literal = Pattern::new("/health");
        assert_eq!(literal.fill("x", "y"), "/health");
        assert_eq!(literal.params("/health"), Some(Params { segment: "", tail: "" }));
        let last = Pattern::new("/logs/{log}");
        assert_eq!(last.params("/logs/x"), Some(Params { segment: "x", tail: "" }));
        assert_eq!(last.params("/logs/"), None);
        assert_eq!(last.params("/logs/x/"), None);
    }

    #[test]
    #[should_panic(expected = "a variable segment ends")]
    fn a_pattern_that_is_none_is_refused() {
        drop(Box::new(Pattern::new("/logs/{log")));
    }
}
