#!/bin/sh
# What udhcpc calls for each event of a lease.
case $1 in
    deconfig) ifconfig "$interface" 0.0.0.0 up ;;
    bound | renew)
        ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}" up
        for gateway in $router; do route add default gw "$gateway" dev "$interface"; done
        echo "$ip" >/tmp/address
        ;;
esac
