//! stub
#![allow(missing_docs)]
use std::ffi::OsString;
use std::path::{Path, PathBuf};
pub const CHILD_COMMAND: &str = "__engine";
#[derive(Debug, Clone)]
pub struct Secret(String);
impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}
#[derive(Debug, Clone)]
pub struct Credentials {
    pub user: String,
    pub password: Secret,
}
#[derive(Debug, Clone)]
pub struct Access {
    pub admin: Credentials,
    pub ingest: Credentials,
    pub analyst: Credentials,
}
impl Access {
    pub fn http_url(&self) -> String {
        String::new()
    }
}
#[derive(Debug)]
pub struct Engine;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct EngineError;
#[derive(Debug)]
pub enum Program {
    A,
}
impl Engine {
    pub fn start(_: PathBuf, _: Program, _: PathBuf) -> Result<Self, EngineError> {
        Err(EngineError)
    }
    pub fn access(&self) -> Option<Access> {
        None
    }
    pub async fn ready(&self) -> Result<(), EngineError> {
        Ok(())
    }
    pub async fn stop(&self) {}
}
pub fn locate() -> Result<Option<Program>, EngineError> {
    Ok(None)
}
pub async fn fetch() -> Result<Program, EngineError> {
    Err(EngineError)
}
pub fn read_access(_: &Path) -> Option<Access> {
    None
}
pub fn child_main(_: Vec<OsString>) -> i32 {
    1
}
