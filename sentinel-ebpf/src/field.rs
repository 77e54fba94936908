//! Reads fields of kernel objects that the verifier knows the type of.

use core::arch::asm;

use sentinel_common::field::PLACEHOLDER;

/// What a field can be.
pub(crate) trait Word: Copy {
    /// Reads the field with this index.
    ///
    /// # Safety
    /// As [`field`].
    unsafe fn read<const FIELD: i16>(object: *const u8) -> Self;
}

macro_rules! words {
    ($($word:ty as $register:ty, $read:literal;)+) => {$(
        impl Word for $word {
            #[inline(always)]
            unsafe fn read<const FIELD: i16>(object: *const u8) -> Self {
                let value: $register;
                // SAFETY: one load; the caller's promise, and the verifier checks that the field is there.
                unsafe {
                    asm!(
                        $read,
                        value = out(reg) value,
                        object = in(reg) object,
                        offset = const PLACEHOLDER + FIELD,
                        options(pure, readonly, nostack, preserves_flags)
                    );
                }
                value as $word
            }
        }
    )+};
}

words! {
    u32 as u64, "{value} = *(u32 *)({object} + {offset})";
    u64 as u64, "{value} = *(u64 *)({object} + {offset})";
    i64 as i64, "{value} = *(u64 *)({object} + {offset})";
    *const u8 as *const u8, "{value} = *(u64 *)({object} + {offset})";
}

/// Reads the field with this index in [`sentinel_common::field`].
///
/// # Safety
/// `object` must be a typed kernel pointer (an argument of a BTF tracepoint, or loaded from one) to the structure of the
/// field, and `T` as long as the field: the verifier checks both at load. The kernel turns a fault into a zero.
#[inline(always)]
pub(crate) unsafe fn field<T: Word, const FIELD: i16>(object: *const u8) -> T {
    // SAFETY: the caller's promise.
    unsafe { T::read::<FIELD>(object) }
}
