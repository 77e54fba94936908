//! A kernel array mapped into memory: reading it costs no system call.

use std::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::NonNull,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aya::{Ebpf, Pod, maps::Map};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use sentinel_common::sched::CpuState;

use super::KernelError;

const WORD: usize = size_of::<u64>();

/// A `BPF_F_MMAPABLE` array of records.
pub(super) struct Mapped<T> {
    base: NonNull<AtomicU64>,
    entries: usize,
    bytes: usize,
    records: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone, and is read and written by atomic words only.
unsafe impl<T: Send> Send for Mapped<T> {}

impl<T: Pod> Mapped<T> {
    /// The kernel keeps entries at multiples of eight bytes; every record here fills them.
    const WORDS: usize = {
        assert!(size_of::<T>().is_multiple_of(WORD) && align_of::<T>() >= WORD);
        size_of::<T>() / WORD
    };

    /// Maps the array of this name with so many entries.
    pub(super) fn new(ebpf: &Ebpf, name: &str, entries: u32) -> Result<Self, KernelError> {
        Self::map(ebpf, name, entries, ProtFlags::READ)
    }

    /// The same, to write words of it too.
    pub(super) fn writable(ebpf: &Ebpf, name: &str, entries: u32) -> Result<Self, KernelError> {
        Self::map(ebpf, name, entries, ProtFlags::READ | ProtFlags::WRITE)
    }

    fn map(ebpf: &Ebpf, name: &str, entries: u32, allowed: ProtFlags) -> Result<Self, KernelError> {
        let failed = |source| KernelError::Map {
            map: name.to_owned(),
            source,
        };
        let Some(Map::Array(map)) = ebpf.map(name) else {
            return Err(failed(std::io::Error::from(std::io::ErrorKind::NotFound)));
        };
        let entries = entries as usize;
        let bytes = (entries * Self::WORDS * WORD).next_multiple_of(rustix::param::page_size());
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory in use; the kernel checks that
        // the map is as large as asked for.
        let base = unsafe {
            mmap(std::ptr::null_mut(), bytes, allowed, MapFlags::SHARED, map.fd(), 0)
                .map_err(|errno| failed(errno.into()))?
        };
        let base = NonNull::new(base.cast()).ok_or_else(|| failed(std::io::ErrorKind::InvalidData.into()))?;
        Ok(Self {
            base,
            entries,
            bytes,
            records: PhantomData,
        })
    }

    /// One entry. Each eight-byte word is read whole; words of one record may be one event apart.
    pub(super) fn get(&self, index: u32) -> Option<T> {
        let index = index as usize;
        if index >= self.entries {
            return None;
        }
        let mut record = MaybeUninit::<T>::uninit();
        let words = record.as_mut_ptr().cast::<u64>();
        for word in 0..Self::WORDS {
            // SAFETY: the index is in range of the mapping, and the word in range of the record; both are aligned.
            unsafe { *words.add(word) = self.base.add(index * Self::WORDS + word).as_ref().load(Relaxed) };
        }
        // SAFETY: every byte was written, and a `Pod` is valid for any bytes.
        Some(unsafe { record.assume_init() })
    }
}

impl Mapped<CpuState> {
    /// Writes one word of an entry of a writable mapping, at once; out of range, nothing.
    pub(super) fn set(&self, index: u32, word: usize, value: u64) {
        let index = index as usize;
        if index < self.entries && word < Self::WORDS {
            // SAFETY: index and word are in range of the mapping, which is aligned and, for this record, writable.
            unsafe { self.base.add(index * Self::WORDS + word).as_ref().store(value, Relaxed) };
        }
    }
}

impl<T: Pod> Mapped<T> {
    /// Sum of some words of an entry, modulo 2^64: one look at a cache line where a record takes three. `None` out of range.
    pub(super) fn sum_of<const N: usize>(&self, index: u32, words: [usize; N]) -> Option<u64> {
        let index = index as usize;
        let inside = index < self.entries && words.iter().all(|word| *word < Self::WORDS);
        let base = index * Self::WORDS;
        inside.then(|| {
            words.iter().fold(0u64, |sum, word| {
                // SAFETY: index and word are in range of the mapping, which is aligned.
                sum.wrapping_add(unsafe { self.base.add(base + word).as_ref().load(Relaxed) })
            })
        })
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `new`, and nothing refers to it any more.
        if let Err(errno) = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) } {
            tracing::warn!(%errno, "a map stays mapped");
        }
    }
}
