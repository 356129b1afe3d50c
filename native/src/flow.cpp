#include "flow.h"

#include <utility>

#include "demux.h"

namespace imsdc {

namespace {
/** As for associations (R5). */
constexpr std::size_t maxEarlyDatagrams = 4;
}  // namespace

std::unique_ptr<Flow> Flow::open(Loop& loop, const NetAddress& a, const NetAddress& b, bool ice) {
  std::unique_ptr<Flow> flow(new Flow);
  const std::array<NetAddress, 2> locals{a, b};
  for (std::size_t index = 0; index < 2; ++index) {
    Side& side = flow->sides_[index];
    side.flow = flow.get();
    side.other = &flow->sides_[1 - index];
    side.counters.streamId = static_cast<std::uint16_t>(index);
    side.socket = UdpSocket::bind(loop, locals[index], side, SocketUse::forwarding);
    if (side.socket == nullptr) return nullptr;
    if (ice) side.credentials = stun::makeCredentials();
  }
  return flow;
}

void Flow::setRemote(std::size_t side, const NetAddress& remote) {
  if (sides_[side].signalled == remote) return;
  sides_[side].signalled = remote;
  sides_[side].setRemote(remote);
}

void Flow::Side::setRemote(const NetAddress& address) {
  remote = address;
  replay();
  other->replay();
}

void Flow::Side::replay() {
  for (const Early& early : std::exchange(early_, {})) take(early.datagram, early.from);
}

void Flow::Side::take(std::span<const std::uint8_t> datagram, const NetAddress& from) {
  const bool stranger = remote.specified() && from != remote;
  const bool known = remote.specified() && other->remote.specified();
  if (stranger || (!known && early_.size() == maxEarlyDatagrams)) {
    ++counters.dropped;
    if (stranger) ++flow->ignored_;
    return;
  }
  if (!known) {
    early_.push_back({{datagram.begin(), datagram.end()}, from});
    return;
  }
  ++counters.messagesReceived;
  counters.bytesReceived += datagram.size();
  other->socket->send(datagram, other->remote);
  ++other->counters.messagesSent;
  other->counters.bytesSent += datagram.size();
  if (flow->onTrace_) flow->onTrace_(datagram, other->remote, true);
}

void Flow::Side::onDatagram(std::span<std::uint8_t> datagram, const NetAddress& from) {
  if (flow->onTrace_) flow->onTrace_(datagram, from, false);
  const DatagramKind kind = kindOf(datagram);
  if (kind == DatagramKind::dtls) {
    take(datagram, from);
    return;
  }
  if (kind == DatagramKind::stun) {
    if (const auto answer = stun::answer(datagram, from, credentials)) {
      socket->send(answer->datagram, from);
      if (answer->nominated || (answer->authenticated && !remote.specified())) setRemote(from);
      return;
    }
  }
  ++counters.dropped;
  ++flow->ignored_;
}

std::array<protocol::StreamStats, 2> Flow::stats() const { return {sides_[0].counters, sides_[1].counters}; }

}  // namespace imsdc
