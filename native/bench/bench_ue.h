#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../src/worker.h"

namespace imsdc::bench {

/**
 * A UE for benchmarks: the media worker itself, so that both ends of a measured relay are plain DTLS/SCTP, plus a load
 * generator and a meter that are driven by lines on a Unix socket. Associations are named by their local UDP port.
 *
 *   flood PORT STREAM BYTES   sends as fast as flow control lets it
 *   pace PORT STREAM BYTES PER_SECOND
 *   sink PORT STREAM          takes and counts what arrives (the stream has to be routed to payload)
 *   stop                      ends all floods and paces
 *   report                    one line of JSON since the last report
 */
class BenchUe final : public Worker {
 public:
  BenchUe(Loop& loop, UniqueFd control, UniqueFd payload, const std::string& commandPath);

  void payloadToEngine(HandleId id, std::uint16_t streamId, protocol::PayloadFromPeerKind kind,
                       std::span<const std::uint8_t> data) override;

 protected:
  std::uint64_t turnStart(std::uint64_t nowMs) override;
  void turnEnd() override;

 private:
  class Commands final : public IoHandler {
   public:
    Commands(BenchUe& ue, UniqueFd descriptor) : ue_(ue), descriptor_(std::move(descriptor)) {}
    void onReadable() override;
    [[nodiscard]] int descriptor() const { return descriptor_.get(); }

   private:
    BenchUe& ue_;
    UniqueFd descriptor_;
    std::string line_;
  };
  struct Load {
    std::uint16_t port;
    std::uint16_t streamId;
    std::vector<std::uint8_t> message;
    double perSecond;  // 0: flood
    double due;        // messages owed so far
    std::uint64_t lastNs;
  };

  std::string command(std::string_view line);
  Association* find(std::uint16_t port);
  void generate();
  bool sendOne(Load& load, StreamTable& streams, std::uint64_t nowNs);
  std::string report();

  std::unique_ptr<Commands> commands_;
  std::vector<Load> loads_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t receivedBytes_ = 0;
  std::vector<std::uint32_t> latencyNs_;
  bool hungry_ = false;  // a load could send more right now
};

}  // namespace imsdc::bench
