//! The stores a suite runs on: a local disk always, and the S3 store whose program `NEURALAKE_TEST_STORE` describes.
//!
//! The description is JSON: `argv` and `env` of the program, its `address`, and the `spec` by which a client opens
//! it. Who sets it has made the bucket. One test at a time holds the program, for one of them kills it.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use neuralake_lake::StoreSpec;
use neuralake_lake::store::{self, Store};
use serde::Deserialize;

const READY_WITHIN: Duration = Duration::from_secs(30);
static TURN: Mutex<()> = Mutex::new(());

#[derive(Deserialize)]
struct Description {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    address: String,
    spec: serde_json::Value,
}

impl Description {
    fn run(&self) -> Child {
        let mut child = Command::new(&self.argv[0])
            .args(&self.argv[1..])
            .envs(&self.env)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            assert!(started.elapsed() < READY_WITHIN, "{} does not listen", self.argv[0]);
            assert!(child.try_wait().unwrap().is_none(), "{} ended at once", self.argv[0]);
            std::thread::sleep(Duration::from_millis(20));
        }
        child
    }
}

/// One store under test; a program of its own ends with it.
pub struct Host {
    pub name: String,
    spec: StoreSpec,
    program: Option<(Description, Child)>,
    _directory: Option<tempfile::TempDir>,
    _turn: MutexGuard<'static, ()>,
}

impl Host {
    /// Open the store, as a new process would.
    pub fn open(&self) -> Arc<dyn Store> {
        let store = store::open(&self.spec).unwrap();
        let started = Instant::now();
        // A store that listens may say for a moment that it is not ready.
        while let Err(error) = store::probe(&store) {
            assert!(started.elapsed() < READY_WITHIN, "{}: {error}", self.name);
            std::thread::sleep(Duration::from_millis(50));
        }
        store
    }

    /// kill -9 its program and start it again; a disk has none.
    pub fn kill_and_restart(&mut self) {
        if let Some((description, child)) = &mut self.program {
            child.kill().unwrap();
            child.wait().unwrap();
            *child = description.run();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some((_, child)) = &mut self.program {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Run a law on each store.
pub fn on_each_store(law: impl Fn(&mut Host)) {
    law(&mut disk());
    if let Some(mut host) = program() {
        law(&mut host);
    }
}

fn disk() -> Host {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let spec = serde_json::json!({ "uri": format!("file://{}", directory.path().display()) });
    Host {
        name: "disk".to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        program: None,
        _directory: Some(directory),
        _turn: turn,
    }
}

fn program() -> Option<Host> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::env::var("NEURALAKE_TEST_STORE").ok()?;
    let description: Description = serde_json::from_str(&text).unwrap();
    let spec = serde_json::from_value(description.spec.clone()).unwrap();
    let child = description.run();
    Some(Host {
        name: description.argv[0].clone(),
        spec,
        program: Some((description, child)),
        _directory: None,
        _turn: turn,
    })
}
