#include "core/uart/uart.hpp"

namespace penstock::uart {

void WaitingSender::send(Uart& uart, char c) {
  constexpr unsigned kLooks = 1'000'000;
  unsigned looks = stuck_ ? 1 : kLooks;
  while (!uart.can_send()) {
    if (--looks == 0) {
      stuck_ = true;
      return;
    }
  }
  stuck_ = false;
  uart.send(c);
}

}  // namespace penstock::uart
