//! Blocks: Put Block, Put Block List, Get Block List.
//!
//! Uncommitted blocks belong to a name, not to a blob: they are invisible, and are dropped when a
//! Put Blob or a Put Block List lands on the name (spec §7.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::super::body::Received;
use super::super::codes::{self, Refusal};
use super::super::lease::Holder;
use super::super::reply::Reply;
use super::super::state::{Blob, Block, CellState, CommittedBlock, Content, Properties, Tier, failed};
use super::super::store::{Part, Place, Stored};
use super::put::check_path;
use super::xml::Xml;
use super::{Call, Changed, Outcome, with_checksums};

/// Spec §7.1.
const BLOCKS_MAX: usize = 50_000;
const UNCOMMITTED_BLOCKS_MAX: usize = 100_000;
const BLOCK_ID_BYTES_MAX: usize = 64;

/// Put Block.
pub(crate) fn put(call: &Call<'_>, received: Received) -> Outcome {
    let id = call.head.query("blockid").ok_or(codes::MISSING_QUERY)?;
    let id_bytes = check_id(id)?;
    if received.length == 0 {
        return Err(codes::INVALID_HEADER.of_header("Content-Length", "0"));
    }
    let container = call.container()?;
    let cell = container.cell(&call.head.blob);
    let mut cell = cell.lock();
    if matches!(&cell.base, Some(Blob { content: Content::Page { .. }, .. })) {
        return Err(codes::INVALID_BLOB_TYPE.into());
    }
    cell.lease.check_write(call.lease_id(), Holder::Blob, call.now)?;
    if cell.blocks.keys().next().is_some_and(|other| id_length(other) != id_bytes) {
        return Err(codes::INVALID_BLOB_OR_BLOCK.into());
    }
    if cell.blocks.len() >= UNCOMMITTED_BLOCKS_MAX && !cell.blocks.contains_key(id) {
        return Err(codes::BLOCK_COUNT.into());
    }
    let stored = received.stored.clone().unwrap_or(Stored { length: 0, place: Place::Discarded });
    let mut block = Block { number: cell.next_block, stored };
    if let Some(disk) = call.account.vault.disk() {
        block = disk.keep_block(call.place(), id, block).map_err(failed)?;
    }
    cell.next_block += 1;
    if let Some(earlier) = cell.blocks.insert(id.to_owned(), block) {
        call.account.vault.remove(&earlier.stored);
    }
    Ok(with_checksums(Reply::status(201), &received))
}

/// Put Block List.
pub(crate) fn put_list(call: &Call<'_>, received: &Received) -> Outcome {
    call.refuse_snapshot()?;
    let list = read_list(&received.bytes).ok_or(codes::INVALID_XML)?;
    if list.len() > BLOCKS_MAX {
        return Err(codes::BLOCK_LIST_TOO_LONG.into());
    }
    // Stored as it is given: the service never compares it with the blocks (spec §4.2).
    let properties = Properties::of(call.head)?;
    let (metadata, tier) = (call.head.metadata()?, Tier::of(call.head, false, call.now)?);
    let container = call.container()?;
    check_path(call, &container)?;
    let cell = container.cell(&call.head.blob);
    let mut cell = cell.lock();
    if matches!(&cell.base, Some(Blob { content: Content::Page { .. }, .. })) {
        return Err(codes::INVALID_BLOB_TYPE.into());
    }
    call.check_create(&cell)?;
    let mut chosen = choose(&cell, list)?;
    chosen.truncate(chosen.len().saturating_sub(call.drop_blocks));
    let (blocks, parts): (Vec<CommittedBlock>, Vec<Part>) = chosen.into_iter().unzip();
    let stored = call.account.vault.assemble(&parts).map_err(failed)?;
    let (etag, modified) = call.version();
    let created = cell.base.as_ref().map_or(modified, |blob| blob.created);
    let content = Content::Block { blocks, stored };
    let blob = Blob { created, modified, etag, properties, metadata, tier, content };
    let reply = Changed::of(&blob).reply(201);
    cell.lease.after_write(call.now);
    call.account.publish(call.place(), &mut cell, Some(blob))?;
    Ok(with_checksums(reply, received))
}

/// Get Block List.
pub(crate) fn list(call: &Call<'_>) -> Outcome {
    let (committed, uncommitted) = match call.head.query("blocklisttype") {
        None | Some("committed") => (true, false),
        Some("uncommitted") => (false, true),
        Some("all") => (true, true),
        Some(other) => return Err(codes::INVALID_QUERY.of_query("blocklisttype", other)),
    };
    let cell = call.container()?.existing_cell(&call.head.blob).ok_or(codes::BLOB_NOT_FOUND)?;
    let cell = cell.lock();
    let blob = match call.head.query("snapshot") {
        Some(snapshot) => Some(cell.snapshots.get(snapshot).ok_or(codes::BLOB_NOT_FOUND)?),
        None => cell.base.as_ref(),
    };
    if blob.is_none() && cell.blocks.is_empty() {
        return Err(codes::BLOB_NOT_FOUND.into());
    }
    cell.lease.check_read(call.lease_id(), Holder::Blob, call.now)?;
    let blocks = match blob {
        Some(Blob { content: Content::Page { .. }, .. }) => return Err(codes::INVALID_BLOB_TYPE.into()),
        Some(Blob { content: Content::Block { blocks, .. }, .. }) => blocks.as_slice(),
        None => &[],
    };
    let mut xml = Xml::new();
    xml.element("BlockList", |xml| {
        if committed {
            let each = blocks.iter().map(|block| (block.id.as_str(), block.length));
            element(xml, "CommittedBlocks", each);
        }
        if uncommitted {
            let each = cell.blocks.iter().map(|(id, block)| (id.as_str(), block.stored.length));
            element(xml, "UncommittedBlocks", each);
        }
    });
    let reply = blob.map_or_else(|| Reply::status(200), |blob| Changed::of(blob).reply(200));
    Ok(reply.with("x-ms-blob-content-length", blob.map_or(0, Blob::length)).xml(xml.finish()))
}

fn element<'a>(xml: &mut Xml, name: &str, blocks: impl Iterator<Item = (&'a str, u64)>) {
    xml.element(name, |xml| {
        for (id, length) in blocks {
            xml.element("Block", |xml| {
                xml.leaf("Name", id);
                xml.leaf("Size", length);
            });
        }
    });
}

/// Checks a block id; answers its length in bytes.
fn check_id(id: &str) -> Result<usize, Refusal> {
    let length = BASE64.decode(id).map_err(|_| codes::INVALID_QUERY.of_query("blockid", id))?.len();
    if length == 0 {
        return Err(codes::INVALID_QUERY.of_query("blockid", id));
    }
    if length > BLOCK_ID_BYTES_MAX { Err(codes::OUT_OF_RANGE.into()) } else { Ok(length) }
}

fn id_length(id: &str) -> usize {
    BASE64.decode(id).map_or(0, |bytes| bytes.len())
}

/// Where the client says a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Committed,
    Uncommitted,
    Latest,
}

/// Finds every block of the list.
fn choose(cell: &CellState, list: Vec<(Source, String)>) -> Result<Vec<(CommittedBlock, Part)>, Refusal> {
    let committed = committed_parts(cell);
    let find = |(source, id): (Source, String)| {
        let uncommitted = || cell.blocks.get(&id).map(|block| Part::whole(block.stored.clone()));
        let old = || {
            committed
                .get(id.as_str())
                .map(|(stored, range)| Part { from: (*stored).clone(), range: range.clone() })
        };
        let part = match source {
            Source::Committed => old(),
            Source::Uncommitted => uncommitted(),
            Source::Latest => uncommitted().or_else(old),
        };
        let part = part.ok_or(codes::INVALID_BLOCK_LIST)?;
        Ok((CommittedBlock { length: part.range.end - part.range.start, id }, part))
    };
    list.into_iter().map(find).collect()
}

/// Where in the committed blob each of its blocks is.
fn committed_parts(cell: &CellState) -> std::collections::HashMap<&str, (&Stored, std::ops::Range<u64>)> {
    let Some(Blob { content: Content::Block { blocks, stored }, .. }) = &cell.base else {
        return std::collections::HashMap::new();
    };
    let mut at = 0;
    let place = |block: &'_ CommittedBlock| {
        let range = at..at + block.length;
        at = range.end;
        range
    };
    let ranges: Vec<_> = blocks.iter().map(place).collect();
    blocks.iter().zip(ranges).map(|(block, range)| (block.id.as_str(), (stored, range))).collect()
}

/// Reads a `BlockList` document; `None` when it is something else.
fn read_list(document: &[u8]) -> Option<Vec<(Source, String)>> {
    let mut reader = Reader::from_reader(document);
    let (mut list, mut depth, mut source, mut seen_root) = (Vec::new(), 0, None, false);
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                depth += 1;
                match (depth, start.local_name().as_ref()) {
                    (1, "BlockList") => seen_root = true,
                    (2, "Committed") => source = Some(Source::Committed),
                    (2, "Uncommitted") => source = Some(Source::Uncommitted),
                    (2, "Latest") => source = Some(Source::Latest),
                    _ => return None,
                }
            }
            Event::End(_) => {
                depth -= 1;
                source = None;
            }
            Event::Empty(empty) => {
                (depth == 0 && empty.local_name().as_ref() == "BlockList").then_some(())?;
                seen_root = true;
            }
            Event::Text(text) => {
                let text = text.trim().to_owned();
                match source {
                    Some(source) if !text.is_empty() => list.push((source, text)),
                    _ if text.is_empty() => {}
                    _ => return None,
                }
            }
            Event::Eof => return (depth == 0 && seen_root).then_some(list),
            Event::CData(_) | Event::GeneralRef(_) | Event::DocType(_) => return None,
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_list_keeps_the_order_and_the_source_of_its_blocks() {
        let text = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<BlockList>\n <Latest>YQ==</Latest>\
                     <Committed>Yg==</Committed><Uncommitted> Yw== </Uncommitted></BlockList>";
        let expected = [(Source::Latest, "YQ=="), (Source::Committed, "Yg=="), (Source::Uncommitted, "Yw==")];
        let list = read_list(text).expect("a list");
        assert_eq!(list, expected.map(|(source, id)| (source, id.to_owned())));
        assert_eq!(read_list(b"<BlockList/>"), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_a_block_list_is_refused() {
        for text in [
            "",
            "hello",
            "<BlockList>",
            "<Other/>",
            "<BlockList><Oldest>YQ==</Oldest></BlockList>",
            "<BlockList>YQ==</BlockList>",
            "<BlockList><Latest><Latest>YQ==</Latest></Latest></BlockList>",
        ] {
            assert_eq!(read_list(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_block_id_is_base64_of_one_to_64_bytes() {
        let code = |id: &str| check_id(id).map_err(|refusal| refusal.code);
        assert_eq!(code(&BASE64.encode([1; 64])), Ok(64));
        assert_eq!(code(&BASE64.encode([1; 65])), Err("OutOfRangeInput".to_owned()));
        assert_eq!(code(""), Err("InvalidQueryParameterValue".to_owned()));
        assert_eq!(code("not base64"), Err("InvalidQueryParameterValue".to_owned()));
    }
}
