//! What stands below every table of the document.

use crate::digits::grouped;
use crate::markup::escaped;
use crate::provenance::Provenance;

pub(super) fn footing(provenance: &Provenance) -> String {
    let machine = &provenance.machine;
    let (day, _) = provenance
        .measured_at
        .split_once('T')
        .unwrap_or((&provenance.measured_at, ""));
    let mut lines = vec![format!(
        "- machine: {}, {} cores, {} MiB, {}",
        machine.processor,
        machine.cores,
        grouped(machine.memory_mib),
        machine.system
    )];
    let versions = provenance.versions.iter();
    lines.extend(versions.map(|(name, version)| format!("- {name}: {version}")));
    format!(
        "<details><summary>{day}, commit <code>{}</code>, <code>{}</code></summary>\n\n{}\n\n\
         </details>\n",
        escaped(&provenance.commit),
        escaped(&provenance.command),
        lines.join("\n")
    )
}
