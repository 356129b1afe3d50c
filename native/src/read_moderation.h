#pragma once

#include <cstdint>

namespace imsdc {

/**
 * When a loop that forwards datagrams rests before it looks again, as a network card moderates its interrupts: a call of
 * the kernel for one datagram costs nearly what it costs for thirty, so with dense traffic they are let come together.
 * Where few come nothing waits, and what leaves a backlog has no need to.
 */
class ReadModeration {
 public:
  /** 50,000 a second: fewer would not come together in a rest. */
  static constexpr std::uint32_t kDenseReadsPerMs = 50;
  /** What a datagram may have to wait more. */
  static constexpr std::uint32_t kRestUs = 50;

  /** A read has given so many buffers; `more`: there may be as many again. */
  void count(std::uint32_t buffers, bool more) {
    reads_ += buffers;
    backlog_ = backlog_ || more;
  }

  /** At the end of each turn: whether to rest now. */
  [[nodiscard]] bool turnEnded(std::uint64_t nowMs) {
    if (nowMs != currentMs_) {
      dense_ = nowMs == currentMs_ + 1 && reads_ >= kDenseReadsPerMs;
      currentMs_ = nowMs;
      reads_ = 0;
    }
    const bool rest = dense_ && !backlog_;
    backlog_ = false;
    return rest;
  }

 private:
  std::uint32_t reads_ = 0;  // in the current millisecond
  std::uint64_t currentMs_ = 0;
  bool dense_ = false;
  bool backlog_ = false;
};

}  // namespace imsdc
