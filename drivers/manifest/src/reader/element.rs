//! The elements of a manifest: azure-import-export.md §1.3 and §1.12.

macro_rules! elements {
    ($($name:ident,)+) => {
        /// An element that the format has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Element { $($name,)+ }

        impl Element {
            /// The element of that name; names are case-sensitive.
            pub(super) fn of(name: &str) -> Option<Element> {
                match name {
                    $(stringify!($name) => Some(Element::$name),)+
                    _ => None,
                }
            }

            pub(super) fn name(self) -> &'static str {
                match self { $(Element::$name => stringify!($name),)+ }
            }
        }
    };
}

elements! {
    Block,
    PageRange,
    FileRange,
    Blob,
    File,
    BlobPath,
    FileStoragePath,
    FilePath,
    ClientData,
    Snapshot,
    Length,
    ImportDisposition,
    BlockList,
    PageRangeList,
    FileRangeList,
    MetadataPath,
    PropertiesPath,
    DriveManifest,
    Drive,
    DriveId,
    StorageAccountKey,
    ContainerSas,
    ClientCreator,
    BlobList,
    FileList,
}

/// Which elements occurred inside their parent, to find the ones that occur twice.
#[derive(Default, Clone, Copy)]
pub(super) struct Seen(u32);

impl Seen {
    /// Notes an element; false when it occurred before.
    pub(super) fn first(&mut self, element: Element) -> bool {
        let first = !self.has(element);
        self.0 |= Seen::bit(element);
        first
    }

    pub(super) fn has(self, element: Element) -> bool {
        self.0 & Seen::bit(element) != 0
    }

    fn bit(element: Element) -> u32 {
        1u32.checked_shl(element as u32).unwrap_or(0)
    }
}
