#pragma once

#include <cstdint>

namespace imsdc {

/** Moves the time that `gettimeofday` tells usrsctp and OpenSSL. Starts at the wall clock of the first use. */
void advanceStackClock(std::uint32_t elapsedMs);

}  // namespace imsdc
