#include "media_port.h"

#include <algorithm>

#include "demux.h"
#include "worker_protocol.h"

namespace imsdc {
namespace {
constexpr std::size_t kMaxEarlyBytes = 2048;
}

std::shared_ptr<MediaPort> MediaPort::open(Loop& loop, const NetAddress& local, bool ice) {
  std::shared_ptr<MediaPort> port(new MediaPort);
  port->socket_ = UdpSocket::bind(loop, local, *port);
  if (port->socket_ == nullptr) return nullptr;
  if (ice) port->credentials_ = stun::makeCredentials();
  return port;
}

void MediaPort::attach(PortMember& member) { members_.push_back(&member); }

void MediaPort::detach(PortMember& member) { std::erase(members_, &member); }

void MediaPort::playEarly(PortMember& member) {
  std::vector<Early> kept = std::move(early_);
  early_.clear();
  for (Early& one : kept) {
    if (member.takes(one.from) || member.mayLatch()) {
      member.onDtls(one.datagram, one.from);
    } else {
      early_.push_back(std::move(one));  // perhaps of another branch that starts later
    }
  }
}

void MediaPort::send(std::span<const std::uint8_t> datagram, const NetAddress& to) {
  for (PortMember* member : members_) {
    if (members_.size() == 1 || member->takes(to)) member->onTrace(datagram, to, true);
  }
  socket_->send(datagram, to);
}

PortMember* MediaPort::memberFor(const NetAddress& from) const {
  for (PortMember* member : members_) {
    if (member->takes(from)) return member;
  }
  for (PortMember* member : members_) {
    if (member->mayLatch()) return member;
  }
  return nullptr;
}

void MediaPort::onDatagram(std::span<std::uint8_t> datagram, const NetAddress& from) {
  for (PortMember* member : members_) {
    if (members_.size() == 1 || member->takes(from)) member->onTrace(datagram, from, false);
  }
  switch (kindOf(datagram)) {
    case DatagramKind::stun:
      onStun(datagram, from);
      return;
    case DatagramKind::dtls:
      if (PortMember* member = memberFor(from); member != nullptr) {
        member->onDtls(datagram, from);
        return;
      }
      if (std::any_of(members_.begin(), members_.end(), [](PortMember* member) { return member->waiting(); }) &&
          early_.size() < protocol::kMaxEarlyDatagrams && datagram.size() <= kMaxEarlyBytes) {
        early_.push_back({from, {datagram.begin(), datagram.end()}});
        return;
      }
      break;
    case DatagramKind::other:
      break;
  }
  ignored();
}

void MediaPort::ignored() {
  if (!members_.empty()) members_.front()->countIgnored();
}

void MediaPort::onStun(std::span<const std::uint8_t> datagram, const NetAddress& from) {
  const std::optional<stun::Answer> answer = stun::answer(datagram, from, credentials_);
  if (!answer) {
    ignored();
    return;
  }
  send(answer->datagram, from);
  if (!answer->authenticated) return;
  PortMember* member = nullptr;
  for (PortMember* candidate : members_) {
    if (candidate->doesIce() && (member == nullptr || candidate->takes(from))) member = candidate;
  }
  if (member != nullptr) member->onIceCheck(from, answer->nominated);
}

}  // namespace imsdc
