// Echoes on Go's net, with one goroutine per connection, and prints the port that it listens on.
package main

import (
	"fmt"
	"log"
	"net"
)

func echo(connection net.Conn) {
	defer connection.Close()
	// Only the pages of a buffer that are written to count as resident memory.
	buffer := make([]byte, 64*1024)
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go echo(connection)
	}
}
