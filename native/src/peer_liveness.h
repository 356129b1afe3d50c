#pragma once

#include <cstdint>

namespace imsdc {

/**
 * Is the peer still there? Judged by authenticated records, not by SCTP's error count (decision 0006): silence counts
 * only with data unacknowledged, or beyond two heartbeats. Silent means at two looks in a row: a process that has not
 * run for long sees a long silence at its first look, while the peer's datagrams wait to be read.
 */
class PeerLiveness {
 public:
  enum class Verdict : std::uint8_t { alive, dataUnanswered, heartbeatsUnanswered };

  void heard(std::uint64_t nowMs) { heardMs_ = nowMs; }
  /** Since the last authenticated record. */
  [[nodiscard]] std::uint64_t silentMs(std::uint64_t nowMs) const { return nowMs - heardMs_; }

  /** One look; `heartbeatMs` 0: none are sent. To be called every few seconds. */
  Verdict look(std::uint64_t nowMs, bool dataUnacknowledged, std::uint32_t heartbeatMs) {
    const std::uint64_t silent = silentMs(nowMs);
    const bool suspected = suspected_;
    suspected_ = silent >= kSilentWithDataMs;
    if (!suspected || !suspected_) return Verdict::alive;
    if (dataUnacknowledged) return Verdict::dataUnanswered;
    const bool tooLong = heartbeatMs > 0 && silent > 2 * std::uint64_t{heartbeatMs} + kHeartbeatGraceMs;
    return tooLong ? Verdict::heartbeatsUnanswered : Verdict::alive;
  }

  static constexpr std::uint64_t kSilentWithDataMs = 20'000;
  static constexpr std::uint64_t kHeartbeatGraceMs = 10'000;

 private:
  std::uint64_t heardMs_ = 0;
  bool suspected_ = false;  // silent at the last look
};

}  // namespace imsdc
