//! `consentry health`: asks a running collector how it is, for a container's health check, which has no other program.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};

use super::Failure;
use super::args::HealthArgs;
use crate::reach::Reach;

/// Whoever does not answer within this is not well.
const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Asks the admin address, which gives reasons.
pub(super) async fn health(args: &HealthArgs) -> Result<(), Failure> {
    let file = args.config.load()?;
    let reach = Reach::admin(args.admin_listen.unwrap_or(file.admin_listen), file.tls.as_ref());
    let reach = reach.map_err(Failure::Failed)?;
    let admin = reach.address();
    let path = if args.live { "/livez" } else { "/readyz" };
    let asked = async {
        let request = hyper::Request::get(reach.url(path));
        let request = request.body(Full::<Bytes>::default()).map_err(Failure::of)?;
        let answer = reach.http1().request(request).await.map_err(|_| {
            let way = "start it, or name its admin address with --admin-listen";
            Failure::of(format!("no collector answers at {admin}; {way}"))
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(Failure::of)?;
        let said = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
        match status.is_success() {
            true => {
                println!("{said}");
                Ok(())
            }
            false => Err(Failure::of(format!("the collector is not well ({status}): {said}"))),
        }
    };
    let late =
        |_| Failure::of(format!("the collector at {admin} did not answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
}
