//! The body of a request on its way in: into the store or a buffer, digested, slowed, spoiled or cut.
//!
//! Invariant: what an operation gets has the checksums that came with it, or it gets nothing. A
//! discarding endpoint keeps and checks nothing, and drops each frame where it lies.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use crc_fast::CrcAlgorithm;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use md5::{Digest as _, Md5};

use super::codes::{self, Refusal};
use super::operation::Operation;
use super::reply::time_for;
use super::request::Head;
use super::state::failed;
use super::store::{Stored, Vault, Writer};
use super::wire::Wire;

/// Put Page takes 4 MiB (spec §7.1).
pub(crate) const PAGES_BYTES_MAX: u64 = 4 << 20;
/// XML of 50,000 block ids of 88 characters with their tags is under 6 MB.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
/// What is read and dropped of a refused request's body, so that its client sees the reply.
const DRAIN_BYTES_MAX: u64 = 64 << 20;

/// A body that was taken in.
pub(crate) struct Received {
    pub(crate) length: u64,
    /// For an operation that stores it as it is.
    pub(crate) stored: Option<Stored>,
    /// For an operation that reads it; empty where bytes are discarded.
    pub(crate) bytes: Bytes,
    /// Base64, computed or, where nothing is checked, as it came.
    pub(crate) md5: Option<String>,
    /// Base64, little-endian (spec §7.8).
    pub(crate) crc64: Option<String>,
}

/// Why no body was taken in.
pub(crate) enum NotReceived {
    Refused(Refusal),
    /// The client went away, or a fault reset its connection.
    Gone,
}

impl<R: Into<Refusal>> From<R> for NotReceived {
    fn from(refusal: R) -> NotReceived {
        NotReceived::Refused(refusal.into())
    }
}

/// What faults do to a body on its way in.
#[derive(Debug, Default, Clone)]
pub(crate) struct Spoiling {
    pub(crate) bytes_per_second: Option<u64>,
    pub(crate) reset_after: Option<u64>,
    pub(crate) corrupt_at: Option<u64>,
}

/// Takes bodies in.
pub(crate) struct Intake<'a> {
    pub(crate) head: &'a Head,
    pub(crate) vault: &'a Vault,
    pub(crate) spoiling: Spoiling,
    pub(crate) wire: &'a Arc<Wire>,
}

impl Intake<'_> {
    /// Reads the body to its end and checks it.
    pub(crate) async fn receive(self, incoming: &mut Incoming) -> Result<Received, NotReceived> {
        if self.head.content_length().is_none() && !incoming.is_end_stream() {
            return Err(codes::NO_LENGTH.into());
        }
        let announced = self.head.content_length().unwrap_or(0);
        if announced > self.bytes_max() {
            return Err(codes::BODY_TOO_LARGE.detail("MaxLimit", self.bytes_max()).into());
        }
        if self.spoiling.reset_after.is_some_and(|after| after == 0 || announced == 0) {
            self.wire.reset();
            return Err(NotReceived::Gone);
        }
        let mut digests = if self.vault.keeps() { Digests::of(self.head)? } else { Digests::default() };
        let mut sink = self.sink(announced)?;
        let (mut length, last) = (0_u64, announced.saturating_sub(1));
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|_| NotReceived::Gone)?;
            let Ok(data) = frame.into_data() else { continue };
            let data = self.spoil(data, length, last).await?;
            digests.update(&data);
            sink.take(&data).map_err(failed)?;
            length += data.len() as u64;
        }
        let (stored, bytes) = sink.finish();
        let (md5, crc64) = match digests.check(self.head) {
            Ok(digests) if self.vault.keeps() => digests,
            Ok(_) => (self.head.header("content-md5").map(str::to_owned), None),
            Err(refusal) => {
                stored.iter().for_each(|stored| self.vault.remove(stored));
                return Err(refusal.into());
            }
        };
        Ok(Received { length, stored, bytes, md5, crc64 })
    }

    /// The limits of spec §7.1, by the version that the request speaks.
    fn bytes_max(&self) -> u64 {
        const MIB: u64 = 1 << 20;
        let generation = match self.head.version() {
            version if version >= "2019-12-12" => 2,
            version if version >= "2016-05-31" => 1,
            _ => 0,
        };
        match self.head.operation {
            Operation::PutBlock => [4, 100, 4_000][generation] * MIB,
            Operation::PutBlob => [64, 256, 5_000][generation] * MIB,
            Operation::PutPage => PAGES_BYTES_MAX,
            _ => DOCUMENT_BYTES_MAX,
        }
    }

    fn sink(&self, announced: u64) -> Result<Sink, Refusal> {
        let is_page = self.head.operation == Operation::PutPage;
        if self.head.operation.carries_data() && (!is_page || !self.vault.keeps()) {
            return Ok(Sink::Store(self.vault.writer(announced).map_err(failed)?));
        }
        Ok(Sink::Buffer(BytesMut::new()))
    }

    async fn spoil(&self, mut data: Bytes, at: u64, last: u64) -> Result<Bytes, NotReceived> {
        let Spoiling { bytes_per_second, reset_after, corrupt_at } = self.spoiling;
        if let Some(rate) = bytes_per_second {
            tokio::time::sleep(time_for(data.len(), rate)).await;
        }
        if reset_after.is_some_and(|after| at + data.len() as u64 >= after) {
            self.wire.reset();
            return Err(NotReceived::Gone);
        }
        let position = corrupt_at.map(|position| position.min(last)).and_then(|p| p.checked_sub(at));
        if let Some(offset) = position.and_then(|offset| usize::try_from(offset).ok())
            && offset < data.len()
        {
            let mut changed = BytesMut::from(&data[..]);
            changed[offset] ^= 0x01;
            data = changed.freeze();
        }
        Ok(data)
    }
}

/// Reads and drops what is left of a refused request's body. A body that is too long for that is left
/// alone, and hyper closes the connection.
pub(crate) async fn drain(incoming: &mut Incoming) {
    let mut left = DRAIN_BYTES_MAX;
    if incoming.size_hint().exact().is_none_or(|length| length > left) {
        return;
    }
    while let Some(Ok(frame)) = incoming.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        left = left.saturating_sub(length);
        if left == 0 {
            return;
        }
    }
}

/// Where frames go.
enum Sink {
    Store(Writer),
    Buffer(BytesMut),
}

impl Sink {
    fn take(&mut self, data: &[u8]) -> std::io::Result<()> {
        match self {
            Sink::Store(writer) => writer.write(data),
            Sink::Buffer(buffer) => {
                buffer.extend_from_slice(data);
                Ok(())
            }
        }
    }

    fn finish(self) -> (Option<Stored>, Bytes) {
        match self {
            Sink::Store(writer) => (Some(writer.finish()), Bytes::new()),
            Sink::Buffer(buffer) => (None, buffer.freeze()),
        }
    }
}

/// The checksums of a body while it comes in.
#[derive(Default)]
struct Digests {
    md5: Option<Md5>,
    crc64: Option<crc_fast::Digest>,
}

impl Digests {
    /// An MD5 when one came, or when the service stores one; a CRC-64 for data without an MD5.
    fn of(head: &Head) -> Result<Digests, Refusal> {
        let (md5, crc64) = (head.md5("content-md5")?, head.crc64()?);
        if md5.is_some() && crc64.is_some() {
            return Err(codes::BOTH_CHECKSUMS.into());
        }
        let stores_md5 = head.operation == Operation::PutBlob;
        let wants_crc64 = crc64.is_some() || (md5.is_none() && head.operation.carries_data());
        Ok(Digests {
            md5: (md5.is_some() || stores_md5).then(Md5::new),
            crc64: wants_crc64.then(|| crc_fast::Digest::new(CrcAlgorithm::Crc64Nvme)),
        })
    }

    fn update(&mut self, data: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(data);
        }
        if let Some(crc64) = &mut self.crc64 {
            crc64.update(data);
        }
    }

    /// Compares with what came, and gives both in base64.
    fn check(self, head: &Head) -> Result<(Option<String>, Option<String>), Refusal> {
        let md5 = self.md5.map(|md5| <[u8; 16]>::from(md5.finalize()));
        let crc64 = self.crc64.map(|crc64| crc64.finalize().to_le_bytes());
        if let (Some(computed), Some(given)) = (md5, head.md5("content-md5")?)
            && computed != given
        {
            return Err(codes::MD5_MISMATCH
                .detail("UserSpecifiedMd5", BASE64.encode(given))
                .detail("ServerCalculatedMd5", BASE64.encode(computed)));
        }
        if let (Some(computed), Some(given)) = (crc64, head.crc64()?)
            && computed != given
        {
            return Err(codes::CRC64_MISMATCH
                .detail("UserSpecifiedCrc", BASE64.encode(given))
                .detail("ServerCalculatedCrc", BASE64.encode(computed)));
        }
        Ok((md5.map(|bytes| BASE64.encode(bytes)), crc64.map(|bytes| BASE64.encode(bytes))))
    }
}
