//! Puts the running kernel's offsets where the object reads fields of kernel structures. What the kernel's own relocations
//! (CO-RE) would do, for which the compiler has no means.
//!
//! In: the object, and an offset for each of [`sentinel_common::field`]. Out: the object with these. Never loads anything.

use object::{Object as _, ObjectSection as _, SectionKind};
use sentinel_common::field::{FIELD_NAMES, FIELDS, PLACEHOLDER};

use super::KernelError;

/// Bytes of an instruction, and where its parts lie: `opcode, registers, offset (16 bits), immediate (32 bits)`
/// (`Documentation/bpf/standardization/instruction-set.rst`).
const INSTRUCTION: usize = 8;
const OFFSET: std::ops::Range<usize> = 2..4;
/// The low bits of the opcode of a load from memory.
const CLASS: u8 = 0x07;
const LOAD: u8 = 0x01;
/// Takes two instructions, of which the second is none by itself.
const WIDE: u8 = 0x18;

/// The object with the offset of each field where it is read.
///
/// # Errors
/// When the object is none, or an offset is larger than an instruction can say.
pub(super) fn patched(object: &[u8], offsets: &[u32; FIELDS]) -> Result<Vec<u8>, KernelError> {
    let file = object::File::parse(object).map_err(|error| KernelError::Object(error.to_string()))?;
    let mut bytes = object.to_vec();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let Some((from, length)) = section.file_range() else {
            continue;
        };
        let (from, length) = (from as usize, length as usize);
        let mut instructions = bytes[from..from + length].chunks_exact_mut(INSTRUCTION);
        while let Some(instruction) = instructions.next() {
            if instruction[0] == WIDE {
                instructions.next();
            } else if instruction[0] & CLASS == LOAD
                && let Some(field) = placeholder(instruction)
            {
                let offset = i16::try_from(offsets[field]).map_err(|_| {
                    KernelError::NoField(format!(
                        "{} where a program can read it: it lies {} bytes away",
                        FIELD_NAMES[field], offsets[field]
                    ))
                })?;
                instruction[OFFSET].copy_from_slice(&offset.to_le_bytes());
            }
        }
    }
    Ok(bytes)
}

/// The field whose place an instruction holds.
fn placeholder(instruction: &[u8]) -> Option<usize> {
    let offset = i16::from_le_bytes([instruction[OFFSET.start], instruction[OFFSET.start + 1]]);
    let field = usize::try_from(offset.checked_sub(PLACEHOLDER)?).ok()?;
    (field < FIELDS).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::layout::OBJECT;

    fn held(object: &[u8]) -> [usize; FIELDS] {
        let mut found = [0; FIELDS];
        let file = object::File::parse(object).unwrap();
        for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
            for instruction in section.data().unwrap().chunks_exact(INSTRUCTION) {
                if instruction[0] & CLASS == LOAD
                    && let Some(field) = placeholder(instruction)
                {
                    found[field] += 1;
                }
            }
        }
        found
    }

    #[test]
    fn every_field_is_read_somewhere_and_no_placeholder_is_left() {
        let read = held(OBJECT);
        for (field, times) in read.iter().enumerate() {
            assert!(*times > 0, "nothing reads {}", FIELD_NAMES[field]);
        }
        let offsets = std::array::from_fn(|field| 8 * field as u32);
        let patched = patched(OBJECT, &offsets).unwrap();
        assert_eq!(held(&patched), [0; FIELDS]);
        let changed = OBJECT
            .iter()
            .zip(&patched)
            .filter(|(before, after)| before != after)
            .count();
        assert!(changed <= 2 * read.iter().sum::<usize>(), "{changed} bytes");
    }

    #[test]
    fn an_offset_that_no_instruction_can_say_is_told_by_its_name() {
        let mut offsets = [0; FIELDS];
        offsets[3] = 40_000;
        let error = patched(OBJECT, &offsets).unwrap_err().to_string();
        assert!(error.contains("TASK_NVCSW") && error.contains("40000"), "{error}");
        assert!(patched(&OBJECT[..100], &offsets).is_err());
    }
}
