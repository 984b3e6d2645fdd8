// The boot's part of domains: from the bundle behind the image to domains that run.
#include "core/base/text.hpp"
#include "hypervisor/device_table.hpp"
#include "hypervisor/domain_objects.hpp"
#include "hypervisor/setup.hpp"

namespace penstock {

void read_manifest(Machine& m) {
  if (m.image.bundle_bytes == 0) {
    m.console.line(port::Severity::kError,
                   "no bundle behind the image: nothing to run (make one with `penstock build`)");
    m.stop("no bundle");
  }
  m.bundle = {reinterpret_cast<const std::uint8_t*>((m.image.base + m.image.image_bytes).value()),
              m.image.bundle_bytes};
  manifest::Problem problem;
  if (manifest::parse(m.bundle, m.manifest, problem)) return;
  Text<240> text;
  manifest::describe(problem, m.manifest, text);
  m.console.line(port::Severity::kError, text.view());
  m.stop("the bundle is unusable");
}

void create_domains(Machine& m) {
  quarantine_devices(m);
  m.virtual_functions.prepare(m);
  for (const HostBdf bdf : m.manifest.hidden) {
    assign::Device* device = find_device(m, bdf);
    if (device != nullptr) device->hidden = true;
  }
  bool any = false;
  for (unsigned i = 0; i < m.manifest.domains.size(); ++i) {
    const manifest::DomainConfig& config = m.manifest.domains[i];
    const DomainId id(static_cast<std::uint8_t>(i));
    manifest::Problem problem;
    if (!manifest::judge(m.manifest, id, m.board, problem)) {
      Text<240> text;
      manifest::describe(problem, m.manifest, text);
      m.console.line(port::Severity::kError, text.view());
      m.report_not_run(config.name_view(), "left-out", text.view());
      continue;
    }
    Text<160> why;
    if (!build_domain(m, id, {m.manifest, i, m.bundle, {}}, why)) {
      Text<240> text;
      text.text("domain ").text(config.name_view()).text(" is left out: ").text(why.view());
      m.console.line(port::Severity::kError, text.view());
      m.report_not_run(config.name_view(), "left-out", why.view());
      continue;
    }
    any = true;
    announce(m, *m.partitions[i]);
  }
  if (!any) m.stop("no domain can run");
}

void start_domains(Machine& m) {
  m.domains_alive.store(1, std::memory_order_release);  // this loop itself, until all are started
  unsigned started = 0;
  for (Partition* partition : m.partitions) {
    if (partition == nullptr || !partition->config().autostart) continue;
    if (partition->start()) ++started;
  }
  if (started == 0) m.stop("no domain is to be started (autostart)");
  m.domain_ended();
}

}  // namespace penstock
