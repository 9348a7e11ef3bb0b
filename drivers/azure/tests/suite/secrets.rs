//! Nothing that opens an account is ever logged or put into an error.

use std::io::Write;
use std::sync::{Arc, Mutex};

use azure::{Account, Credential, DEVELOPMENT_KEY};
use tracing_subscriber::fmt::MakeWriter;

use crate::server::{Act, Reply, Server};
use crate::support::{TestClock, config_with, path, put};

/// Everything that is logged, by `tracing` or by `log`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let _ = writeln!(self.clone(), "{}: {}", record.target(), record.args());
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn no_secret_is_in_a_log_or_an_error_at_the_finest_level() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    log::set_boxed_logger(Box::new(log.clone())).unwrap();
    log::set_max_level(log::LevelFilter::Trace);

    let sas = "sv=2023-11-03&sr=c&sp=w&sig=SECRETSECRETSECRET%3D";
    for text in [sas, DEVELOPMENT_KEY] {
        let script = vec![
            Act::ResetAfterBody(0),
            Reply::error(503, "ServerBusy").act(),
            Reply::error(403, "AuthorizationFailure").act(),
        ];
        let server = Server::start(script).await;
        let mut config = config_with(&server, &TestClock::new(), Credential::from_text(text).unwrap());
        let error = put(&Account::new(config).unwrap(), "abc/a b", b"x").await.unwrap_err();
        assert_clean(&format!("{error} {error:?}"));
        config = config_with(&server, &TestClock::new(), Credential::from_text(text).unwrap());
        config.endpoint = azure::Endpoint::parse("http://127.0.0.1:1/devstoreaccount1").unwrap();
        let error = Account::new(config).unwrap().properties(&path("abc/a b")).await.unwrap_err();
        assert_clean(&format!("{error} {error:?}"));
    }
    let text = log.text();
    assert!(text.contains("/devstoreaccount1/abc/a%20b"), "the log is on");
    assert_clean(&text);
}

fn assert_clean(text: &str) {
    for secret in ["SECRETSECRET", "SharedKey devstoreaccount1:", &DEVELOPMENT_KEY[..20]] {
        assert!(!text.contains(secret), "{secret} is in: {text}");
    }
}
