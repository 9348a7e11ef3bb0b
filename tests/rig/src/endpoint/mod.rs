//! The Azure endpoint of our own: blobs and files over HTTP, on disk or discarding.
