# Sends datagrams as Node.js cannot, one per KIND:HEX, in order:
#   software   its checksum is computed before it leaves the socket (MSG_MORE), not left to the device: who forwards it
#              has to correct it, and who receives it looks
#   none       without a checksum (IPv4, RFC 768)
#   last       with a hop limit of 1
#   udp-raw.pl LOCAL_ADDRESS LOCAL_PORT TO_ADDRESS TO_PORT KIND:HEX...
use strict;
use Socket qw(:DEFAULT inet_pton pack_sockaddr_in6);
use constant { MSG_MORE => 0x8000, SO_NO_CHECK => 11, IP_TTL => 2, IPV6_UNICAST_HOPS => 16, IPPROTO_IPV6 => 41 };

my ($address, $port, $to, $to_port, @datagrams) = @ARGV;
my $v6 = $address =~ /:/;
my $family = $v6 ? AF_INET6 : AF_INET;
my $end = sub { $v6 ? pack_sockaddr_in6($_[1], inet_pton($family, $_[0])) : pack_sockaddr_in($_[1], inet_pton($family, $_[0])) };
for (@datagrams) {
  my ($kind, $hex) = split /:/;
  socket(my $socket, $family, SOCK_DGRAM, 17) or die $!;
  bind($socket, $end->($address, $port)) or die $!;
  connect($socket, $end->($to, $to_port)) or die $!;
  setsockopt($socket, SOL_SOCKET, SO_NO_CHECK, pack('i', 1)) or die $! if $kind eq 'none';
  setsockopt($socket, $v6 ? IPPROTO_IPV6 : 0, $v6 ? IPV6_UNICAST_HOPS : IP_TTL, pack('i', 1)) or die $! if $kind eq 'last';
  defined send($socket, pack('H*', $hex), $kind eq 'software' ? MSG_MORE : 0) or die $!;
  defined send($socket, '', 0) or die $! if $kind eq 'software';
}
