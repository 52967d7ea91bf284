//! Echoes on mio, and prints the port that it listens on.
//!
//! mio is edge-triggered, so a connection is read until a read is short. Such a read has emptied the socket (epoll(7)),
//! so that a message takes one recv() and one send(), as on the other servers.

use mio::net::{TcpListener, TcpStream};
use mio::{event::Event, Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Result, Write};

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// The part of an echo for which there was no room; empty for nearly all connections.
    unsent: Vec<u8>,
}

impl Connection {
    /// Sends at once as much as there is room for, and returns the number of bytes.
    fn send(stream: &mut TcpStream, data: &[u8]) -> Result<usize> {
        let mut sent = 0;
        while sent < data.len() {
            match stream.write(&data[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Echoes until there is nothing to read or no room to send. Returns false at the end of the stream.
    fn echo(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let sent = Self::send(&mut self.stream, &self.unsent)?;
        self.unsent.drain(..sent);
        while self.unsent.is_empty() {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let sent = Self::send(&mut self.stream, &buffer[..count])?;
            self.unsent = buffer[sent..count].to_vec();
            if count < buffer.len() {
                break;
            }
        }
        Ok(true)
    }
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    /// The connections by token, and the free tokens.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Box<[u8]>,
}

impl Server {
    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let index = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let interests = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(index), interests)?;
            self.connections[index] = Some(Connection {
                stream,
                unsent: Vec::new(),
            });
        }
    }

    fn handle(&mut self, event: &Event) {
        let index = event.token().0;
        if let Some(connection) = &mut self.connections[index] {
            // The first event of a connection only says that there is room to send.
            if !event.is_readable() && connection.unsent.is_empty() {
                return;
            }
            if !connection.echo(&mut self.buffer).unwrap_or(false) {
                self.connections[index] = None; // which closes the stream
                self.free.push(index);
            }
        }
    }
}

fn main() -> Result<()> {
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
    let poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?.port());
    let buffer = vec![0; 64 * 1024].into_boxed_slice();
    let mut server = Server {
        poll,
        listener,
        connections: Vec::new(),
        free: Vec::new(),
        buffer,
    };
    let mut events = Events::with_capacity(1024);
    loop {
        server.poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                server.accept()?;
            } else {
                server.handle(event);
            }
        }
    }
}
