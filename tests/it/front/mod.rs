//! The front against hostile and clumsy clients, over real sockets.
