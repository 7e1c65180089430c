//! `verify.html`: what a person opens who has nothing but the file.

/// The page. It holds no script and makes no request.
pub fn html() -> &'static str {
    HTML
}

const HTML: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none'">
<title>Verify evidence</title>
</head>
<body>
<h1>Verify evidence</h1>
<p>This folder or archive holds events that were taken out of a log, and what proves them. The command
<code>cairn verify-export FILE --vkey KEY</code> checks all of it on your own computer. It asks no server.</p>
<p>FILE is this folder, or the archive before it was unpacked. KEY is the public key of the log. Take it from your own
records, or ask the log's operator for it, and not from <code>keys.txt</code> beside this page: whoever made the file
could have put another key there.</p>
<p>The exit status is 0 if everything holds, 1 if something does not, and 2 if the file cannot be used.</p>
</body>
</html>
"#;
