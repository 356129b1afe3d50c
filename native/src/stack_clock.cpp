// usrsctp has two clocks: a tick count that drives its timers, and gettimeofday, with which it stamps chunks. A chunk
// younger than the retransmission time-out is not sent again, and then nothing restarts the timer: the association
// stalls until new data is sent. That happens whenever the tick count runs a little ahead of the wall clock, or the wall
// clock is set back. So both are the same clock here: this definition takes the place of the C library's, and time
// stands still between two ticks. OpenSSL's DTLS timer reads it as well.
#include "stack_clock.h"

#include <sys/time.h>

#include <ctime>

namespace {

std::uint64_t& stackClockMs() {
  static std::uint64_t now = [] {
    timespec wall{};
    clock_gettime(CLOCK_REALTIME, &wall);
    return static_cast<std::uint64_t>(wall.tv_sec) * 1000 + static_cast<std::uint64_t>(wall.tv_nsec) / 1'000'000;
  }();
  return now;
}

}  // namespace

extern "C" int gettimeofday(timeval* __restrict now, void* __restrict) noexcept {
  const std::uint64_t ms = stackClockMs();
  now->tv_sec = static_cast<time_t>(ms / 1000);
  now->tv_usec = static_cast<suseconds_t>(ms % 1000 * 1000);
  return 0;
}

namespace imsdc {

void advanceStackClock(std::uint32_t elapsedMs) { stackClockMs() += elapsedMs; }

}  // namespace imsdc
