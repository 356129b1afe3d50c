#pragma once

#include <cstdint>

namespace imsdc {

/** Resident memory of this process against what the MF allows; read from the kernel at most once a second. */
class MemoryBudget {
 public:
  void setLimit(std::uint64_t bytes) { limit_ = bytes; }
  /** Reads it anew. */
  std::uint64_t sample();
  [[nodiscard]] std::uint64_t resident() const { return resident_; }
  /** What has been promised since the last sample counts as used. */
  void promise(std::uint64_t bytes) { promised_ += bytes; }
  [[nodiscard]] bool allows(std::uint64_t bytes) const {
    return limit_ == 0 || resident_ + promised_ + bytes <= limit_;
  }
  [[nodiscard]] bool exceeded() const { return !allows(0); }
  /** Far enough below the limit to take new work again. */
  [[nodiscard]] bool relaxed() const { return limit_ == 0 || resident_ + promised_ < limit_ / 20 * 19; }

  /** usrsctp keeps tables with an entry per stream id, used or not. */
  static constexpr std::uint64_t forStreams(std::uint32_t streams) { return 40'000 + std::uint64_t{104} * streams; }

 private:
  std::uint64_t limit_ = 0;
  std::uint64_t resident_ = 0;
  std::uint64_t promised_ = 0;
};

}  // namespace imsdc
