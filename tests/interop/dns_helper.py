"""Small partners of test_dns_control.sh.

dns_helper.py serve ADDRESS IPV4 IPV6     answers every A query with IPV4, every AAAA with IPV6, UDP port 53
dns_helper.py ask SERVER NAME A|AAAA      prints the first address of the answer, or its response code
dns_helper.py nm                          the D-Bus service org.freedesktop.NetworkManager; each line on stdin names a property that changes
"""
import ipaddress, os, socket, struct, sys


def question(data):
    at = 12
    while data[at]:
        at += data[at] + 1
    return at + 5, struct.unpack('!H', data[at + 1:at + 3])[0]


def serve(address, ip4, ip6):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, 53))
    print('serving', flush=True)
    while True:
        data, peer = s.recvfrom(4096)
        end, kind = question(data)
        answer = {1: ip4, 28: ip6}.get(kind)
        record = b''
        if answer:
            packed = ipaddress.ip_address(answer).packed
            record = b'\xc0\x0c' + struct.pack('!HHIH', kind, 1, 1, len(packed)) + packed
        s.sendto(data[:2] + b'\x81\x80' + data[4:6] + struct.pack('!HHH', 1 if record else 0, 0, 0) + data[12:end] + record, peer)


def ask(server, name, kind):
    s = socket.socket(socket.AF_INET6 if ':' in server else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10)
    code = {'A': 1, 'AAAA': 28}[kind]
    labels = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.'))
    s.sendto(b'\x12\x34\x01\x00\0\1\0\0\0\0\0\0' + labels + b'\0' + struct.pack('!HH', code, 1), (server, 53))
    data = s.recv(4096)
    if struct.unpack('!H', data[6:8])[0] == 0:
        print('rcode', data[3] & 15)
        return
    at, _ = question(data)
    length = struct.unpack('!H', data[at + 10:at + 12])[0]
    print(ipaddress.ip_address(data[at + 12:at + 12 + length]))


def bus_loop():
    import dbus, dbus.mainloop.glib, dbus.service
    from gi.repository import GLib
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    return dbus, dbus.service, dbus.SystemBus(), GLib


def nm():
    dbus, service, bus, glib = bus_loop()
    name = 'org.freedesktop.NetworkManager'

    class NetworkManager(service.Object):
        @service.signal('org.freedesktop.DBus.Properties', signature='sa{sv}as')
        def PropertiesChanged(self, interface, changed, gone):
            pass

    owned = service.BusName(name, bus)
    manager = NetworkManager(bus, '/org/freedesktop/NetworkManager')

    def lines(*_):
        text = os.read(sys.stdin.fileno(), 4096).decode()
        for name_of_property in text.split():
            path = dbus.ObjectPath('/org/freedesktop/NetworkManager/ActiveConnection/2')
            manager.PropertiesChanged(name, {name_of_property: path}, [])
        return True

    loop = glib.MainLoop()
    glib.io_add_watch(sys.stdin.fileno(), glib.IO_IN, lines)
    print('serving', flush=True)
    loop.run()


if __name__ == '__main__':
    {'serve': serve, 'ask': ask, 'nm': nm}[sys.argv[1]](*sys.argv[2:])
