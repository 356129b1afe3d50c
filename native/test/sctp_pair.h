#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "../src/sctp_endpoint.h"

namespace imsdc::test {

/** What the network between two endpoints does, in virtual time. */
struct Weather {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;  // share of packets that take three times as long
  std::uint32_t delayMs = 0;
};

struct Received {
  std::uint16_t streamId;
  std::uint32_t ppid;
  std::vector<std::uint8_t> data;
};

/** One end: keeps what arrived; reads only while `reading`. */
class Peer final : public SctpOwner {
 public:
  explicit Peer(const SctpOptions& options) : endpoint(std::make_unique<SctpEndpoint>(*this, options)) {}
  void sctpOutput(std::span<std::uint8_t> packet) override { outbox.emplace_back(packet.begin(), packet.end()); }
  void sctpActive() override { active = true; }
  void drain();
  [[nodiscard]] std::uint64_t hash(std::uint16_t streamId) const;

  std::vector<std::vector<std::uint8_t>> outbox;
  std::vector<Received> received;
  std::vector<std::uint16_t> peerResets;
  std::vector<std::uint16_t> resetsDone;
  std::optional<sctp::Connected> connected;
  std::vector<std::uint16_t> oversize;
  std::string lost;
  bool active = false;
  bool reading = true;
  bool keepData = true;
  std::uint64_t receivedBytes = 0;
  std::uint64_t receivedMessages = 0;
  std::map<std::uint16_t, std::uint64_t> hashes;
  std::size_t maxMessageBytes = 262'144;
  std::size_t largestPacket = 0;
  std::unique_ptr<SctpEndpoint> endpoint;  // last: its destructor still writes to the outbox
};

/** Two endpoints in one process and the network between them, without threads or real time. */
class SctpPair {
 public:
  explicit SctpPair(const SctpOptions& options = {}, const Weather& weather = {}, std::uint32_t seed = 1);
  SctpPair(const SctpOptions& a, const SctpOptions& b, const Weather& weather, std::uint32_t seed);
  bool connect();
  /** Moves packets and the clock until `until` holds or the time is over. */
  template <typename Condition>
  bool run(Condition until, std::uint32_t limitMs = 60'000) {
    for (std::uint32_t spent = 0; spent <= limitMs; spent += kStepMs) {
      settle();
      if (until()) return true;
      SctpStack::tick(kStepMs);
      nowMs_ += kStepMs;
    }
    settle();
    return until();
  }
  void settle();

  Peer a;
  Peer b;
  Weather weather;

 private:
  static constexpr std::uint32_t kStepMs = 10;
  struct Flying {
    std::uint64_t atMs;
    std::uint64_t order;
    Peer* to;
    std::vector<std::uint8_t> packet;
    bool operator<(const Flying& other) const {
      return atMs != other.atMs ? atMs > other.atMs : order > other.order;
    }
  };
  void launch(Peer& from, Peer& to);
  bool chance(double share) { return std::uniform_real_distribution<>(0, 1)(random_) < share; }

  std::mt19937 random_;
  std::uint64_t nowMs_ = 0;
  std::uint64_t order_ = 0;
  std::priority_queue<Flying> network_;
};

std::vector<std::uint8_t> pattern(std::size_t length, std::uint32_t seed);
std::uint64_t fnv(std::span<const std::uint8_t> data, std::uint64_t hash = 0xcbf29ce484222325);

}  // namespace imsdc::test
