#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "stun.h"
#include "udp_socket.h"

namespace imsdc {

/** An association as its port sees it. */
class PortMember {
 public:
  /** Datagrams from there are for this association: SDP address, or proved by ICE. */
  [[nodiscard]] virtual bool takes(const NetAddress& from) const = 0;
  /** Would also look at a stranger's handshake: NAT option, certificate not seen yet. */
  [[nodiscard]] virtual bool mayLatch() const = 0;
  /** Not started: what comes may be for it. */
  [[nodiscard]] virtual bool waiting() const = 0;
  [[nodiscard]] virtual bool doesIce() const = 0;
  virtual void onDtls(std::span<std::uint8_t> datagram, const NetAddress& from) = 0;
  virtual void onIceCheck(const NetAddress& from, bool nominated) = 0;
  /** A copy for the trace; `sent`: by us. Cheap when the trace is off. */
  virtual void onTrace(std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent) = 0;
  virtual void countIgnored() = 0;

 protected:
  ~PortMember() = default;
};

/**
 * A UDP port of the MF and the associations on it: one, or with forking several that differ by remote address (R20).
 * Answers STUN, keeps the first flight that comes before START (R5), gives each DTLS datagram to its association.
 */
class MediaPort final : public DatagramReader {
 public:
  static std::shared_ptr<MediaPort> open(Loop& loop, const NetAddress& local, bool ice);

  [[nodiscard]] NetAddress local() const { return socket_->local(); }
  [[nodiscard]] const stun::Credentials& credentials() const { return credentials_; }
  void attach(PortMember& member);
  void detach(PortMember& member);
  /** Gives a member that has just started what came for it before. */
  void playEarly(PortMember& member);
  void send(std::span<const std::uint8_t> datagram, const NetAddress& to);

  void onDatagram(std::span<std::uint8_t> datagram, const NetAddress& from) override;

 private:
  struct Early {
    NetAddress from;
    std::vector<std::uint8_t> datagram;
  };
  MediaPort() = default;
  void onStun(std::span<const std::uint8_t> datagram, const NetAddress& from);
  PortMember* memberFor(const NetAddress& from) const;
  void ignored();

  std::unique_ptr<UdpSocket> socket_;
  stun::Credentials credentials_;
  std::vector<PortMember*> members_;
  std::vector<Early> early_;
};

}  // namespace imsdc
