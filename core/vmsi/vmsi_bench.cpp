// A vITS command and a delivery, and how they grow with what is mapped.
#include <benchmark/benchmark.h>

#include "core/vmsi/its_fake.hpp"

namespace penstock::vmsi {
namespace {

using fake::ItsGuest;
using fake::vcpu;

/// `events` mapped events over as many devices as there can be.
void populate(ItsGuest& g, unsigned events) {
  g.keep_log = false;
  g.enable_all();
  const unsigned devices = events < kMaxItsDevices - 1 ? events : kMaxItsDevices - 1;
  for (unsigned d = 0; d < devices; ++d) g.command(ItsGuest::mapd(d, 11));
  for (unsigned i = 0; i + 1 < events; ++i) {
    g.command(ItsGuest::mapti(i % devices, i / devices, kFirstLpi + 1 + i, 0));
  }
  g.command(ItsGuest::mapd(0x8000, 5));
  g.command(ItsGuest::mapti(0x8000, 1, kFirstLpi, 0));
}

/// MOVI through the queue: copy, decode, look up, move, tell.
void its_command(benchmark::State& state) {
  ItsGuest g;
  populate(g, static_cast<unsigned>(state.range(0)));
  std::uint64_t to = 1;
  for (auto _ : state) {
    g.command(ItsGuest::movi(0x8000, 1, to));
    to ^= 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(its_command)->Arg(1)->Arg(100)->Arg(2000);

void its_resolve(benchmark::State& state) {
  ItsGuest g;
  populate(g, static_cast<unsigned>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(g.its.resolve(GuestDeviceId(0x8000), GuestEventId(1)));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(its_resolve)->Arg(1)->Arg(100)->Arg(2000);

/// One message from its route to a list register, taken and ended by the guest.
void lpi_delivery(benchmark::State& state) {
  ItsGuest g;
  populate(g, static_cast<unsigned>(state.range(0)));
  for (auto _ : state) {
    g.gic.pend_lpi_here(vcpu(0), GuestIntId(kFirstLpi));
    g.gic.deliver(vcpu(0), g.cpus[0]);
    const auto intid = g.cpus[0].acknowledge();
    g.cpus[0].end(*intid);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(lpi_delivery)->Arg(1)->Arg(100)->Arg(2000);

}  // namespace
}  // namespace penstock::vmsi
