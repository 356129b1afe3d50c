#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "stun.h"
#include "udp_socket.h"
#include "worker_protocol.h"

namespace imsdc {

/**
 * End-to-end datagrams (R10): what side a receives leaves from side b and vice versa, byte for byte. Only first octets
 * 20..63 (DTLS) of the address in the SDP pass; STUN is answered by the side that it reached.
 */
class Flow {
 public:
  using OnTrace = std::function<void(std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent)>;

  /** Nothing when one of the ports cannot be bound. */
  static std::unique_ptr<Flow> open(Loop& loop, const NetAddress& a, const NetAddress& b, bool ice);
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  /** Unspecified: not known yet, nothing passes. With ICE the nominated address replaces it. */
  void setRemote(std::size_t side, const NetAddress& remote);
  void setTrace(OnTrace onTrace) { onTrace_ = std::move(onTrace); }
  [[nodiscard]] NetAddress local(std::size_t side) const { return sides_[side].socket->local(); }
  [[nodiscard]] const stun::Credentials& credentials(std::size_t side) const { return sides_[side].credentials; }
  [[nodiscard]] std::array<protocol::StreamStats, 2> stats() const;
  [[nodiscard]] std::uint64_t ignored() const { return ignored_; }

 private:
  class Side final : public DatagramReader {
   public:
    void onDatagram(std::span<std::uint8_t> datagram, const NetAddress& from) override;
    /** Where this side sends and what it hears; what was kept until now passes or not. */
    void setRemote(const NetAddress& address);
    Flow* flow = nullptr;
    Side* other = nullptr;
    std::unique_ptr<UdpSocket> socket;
    stun::Credentials credentials;
    NetAddress remote;
    NetAddress signalled;  // the SDP's, so that repeating it does not undo a nomination
    protocol::StreamStats counters;

   private:
    struct Early {
      std::vector<std::uint8_t> datagram;
      NetAddress from;
    };
    void take(std::span<const std::uint8_t> datagram, const NetAddress& from);
    void replay();
    /** DTLS that came before both remotes were known: a ClientHello that overtakes the answer must not cost a second. */
    std::vector<Early> early_;
  };
  Flow() = default;

  std::array<Side, 2> sides_;
  std::uint64_t ignored_ = 0;
  OnTrace onTrace_;
};

}  // namespace imsdc
