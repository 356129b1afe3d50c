#include "sctp_pair.h"

namespace imsdc::test {

std::vector<std::uint8_t> pattern(std::size_t length, std::uint32_t seed) {
  std::vector<std::uint8_t> bytes(length);
  std::uint32_t state = seed * 2654435761U + 1;
  for (std::uint8_t& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

std::uint64_t fnv(std::span<const std::uint8_t> data, std::uint64_t hash) {
  for (const std::uint8_t byte : data) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

void Peer::drain() {
  if (!reading) return;
  active = false;
  for (;;) {
    SctpEvent event = endpoint->next(maxMessageBytes);
    if (std::holds_alternative<std::monostate>(event)) return;
    if (auto* up = std::get_if<sctp::Connected>(&event)) connected = *up;
    if (auto* reset = std::get_if<sctp::PeerReset>(&event)) {
      peerResets.insert(peerResets.end(), reset->streamIds.begin(), reset->streamIds.end());
    }
    if (auto* done = std::get_if<sctp::ResetDone>(&event)) {
      resetsDone.insert(resetsDone.end(), done->streamIds.begin(), done->streamIds.end());
    }
    if (auto* over = std::get_if<sctp::Oversize>(&event)) oversize.push_back(over->streamId);
    if (auto* gone = std::get_if<sctp::Lost>(&event)) lost = gone->reason;
    if (auto* message = std::get_if<sctp::Message>(&event)) {
      receivedBytes += message->data.size();
      ++receivedMessages;
      auto [entry, fresh] = hashes.try_emplace(message->streamId, 0xcbf29ce484222325);
      entry->second = fnv(message->data, entry->second);
      if (keepData) {
        received.push_back({message->streamId, message->ppid, {message->data.begin(), message->data.end()}});
      }
    }
  }
}

std::uint64_t Peer::hash(std::uint16_t streamId) const {
  const auto entry = hashes.find(streamId);
  return entry == hashes.end() ? 0 : entry->second;
}

SctpPair::SctpPair(const SctpOptions& options, const Weather& network, std::uint32_t seed)
    : SctpPair(options, options, network, seed) {}

SctpPair::SctpPair(const SctpOptions& optionsA, const SctpOptions& optionsB, const Weather& network,
                   std::uint32_t seed)
    : a(optionsA), b(optionsB), weather(network), random_(seed) {}

bool SctpPair::connect() {
  if (!a.endpoint->connect() || !b.endpoint->connect()) return false;
  return run([&] { return a.connected.has_value() && b.connected.has_value(); });
}

void SctpPair::launch(Peer& from, Peer& to) {
  for (std::vector<std::uint8_t>& packet : from.outbox) {
    from.largestPacket = std::max(from.largestPacket, packet.size());
    const int copies = chance(weather.loss) ? 0 : chance(weather.duplicate) ? 2 : 1;
    for (int copy = 0; copy < copies; ++copy) {
      const std::uint64_t delay = chance(weather.reorder) ? weather.delayMs * 3 + 10 : weather.delayMs;
      network_.push({nowMs_ + delay, order_++, &to, packet});
    }
  }
  from.outbox.clear();
}

void SctpPair::settle() {
  for (;;) {
    launch(a, b);
    launch(b, a);
    if (network_.empty() || network_.top().atMs > nowMs_) break;
    Flying next = network_.top();
    network_.pop();
    next.to->endpoint->receive(next.packet);
    if (next.to->active) next.to->drain();
  }
  a.drain();
  b.drain();
  launch(a, b);
  launch(b, a);
}

}  // namespace imsdc::test
