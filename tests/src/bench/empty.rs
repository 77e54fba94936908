//! Empty programs: two instructions at each hook that sentinel uses. What the kernel counts for them is what calling a
//! program and reading the clock twice costs, and so what has to be subtracted from any other.

use std::{collections::BTreeMap, fs::File};

use anyhow::{Context as _, Result};
use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, Program, SockOps},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    write::{Object, Symbol, SymbolSection},
};

use crate::paths;

/// Tracepoints that sentinel counts at.
const TRACEPOINTS: [&str; 2] = ["sched_switch", "rss_stat"];
/// `r0 = 1; exit`: for programs of a cgroup 1 means let pass, for others it means nothing.
const CODE: [u8; 16] = [0xb7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// Empty programs, attached; they go with this value.
pub struct Empty {
    ebpf: Ebpf,
}

impl Empty {
    /// Attaches one at each hook.
    ///
    /// # Errors
    /// It needs root and the kernel's type information.
    pub fn attach() -> Result<Self> {
        let mut ebpf = Ebpf::load(&elf()?)?;
        let btf = Btf::from_sys_fs()?;
        let root = File::open(paths::cgroup2()?)?;
        for (name, program) in ebpf.programs_mut() {
            match program {
                Program::BtfTracePoint(program) => {
                    let program: &mut BtfTracePoint = program;
                    program.load(name, &btf).with_context(|| name.to_owned())?;
                    program.attach()?;
                }
                Program::CgroupSkb(program) => {
                    let program: &mut CgroupSkb = program;
                    let direction = match name {
                        "ingress" => CgroupSkbAttachType::Ingress,
                        _ => CgroupSkbAttachType::Egress,
                    };
                    program.load()?;
                    program.attach(&root, direction, CgroupAttachMode::Single)?;
                }
                Program::SockOps(program) => {
                    let program: &mut SockOps = program;
                    program.load()?;
                    program.attach(&root, CgroupAttachMode::Single)?;
                }
                _ => anyhow::bail!("{name} is of a kind that is not attached here"),
            }
        }
        Ok(Self { ebpf })
    }

    /// Their ids, by name.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn ids(&self) -> Result<BTreeMap<String, u32>> {
        let programs = self.ebpf.programs();
        programs
            .map(|(name, program)| Ok((name.to_owned(), program.info()?.id())))
            .collect()
    }
}

/// An object with every program, each in a section of its own.
fn elf() -> Result<Vec<u8>> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let tracepoints = TRACEPOINTS.map(|name| (name, format!("tp_btf/{name}")));
    let of_cgroups = [
        ("ingress", "cgroup_skb/ingress".to_owned()),
        ("egress", "cgroup_skb/egress".to_owned()),
        ("sock_ops", "sockops".to_owned()),
    ];
    for (name, section) in tracepoints.into_iter().chain(of_cgroups) {
        let text = object.add_section(Vec::new(), section.into_bytes(), SectionKind::Text);
        object.append_section_data(text, &CODE, 8);
        object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: 0,
            size: CODE.len() as u64,
            kind: SymbolKind::Text,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(text),
            flags: SymbolFlags::None,
        });
    }
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    Ok(object.write()?)
}
