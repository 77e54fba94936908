//! What this host offers: probes, without loading anything.
