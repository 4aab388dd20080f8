import os; os.environ["KERAS_BACKEND"]="tensorflow"
import time; t=time.process_time()
import keras, numpy as np, tensorflow as tf, tfvid
policy=keras.config.dtype_policy()
import importlib, rppg.models as R
keras.config.set_dtype_policy("float32")
print("imported", time.process_time()-t, flush=True)
net=R.PhysNet(); net(np.zeros((1,128,32,32,3),np.float32))
net.load_weights(os.path.join(os.path.dirname(R.__file__),'weights/physnet.rlap.weights.h5'))
rng=np.random.default_rng(0)
face=np.ones((32,32,1))*np.array([.75,.55,.45]); face*=1-.25*((np.mgrid[:32,:32]-15.5)**2).sum(0)[...,None]/480
clip=np.repeat(face[None],128,0)+rng.normal(0,.002,(128,32,32,3))
time_=np.arange(128)/30; pulse=np.sin(2*np.pi*1.2*time_)
box=np.zeros((32,32),bool); box[4:20,4:20]=True
span=np.zeros(128,bool); span[40:90]=True
clip+= .015*(pulse*span)[:,None,None,None]*box[...,None]*np.array([.4,1,.5])
clip=clip.astype(np.float32)[None]
out=net(clip).numpy()[0]; print('corr in span',np.corrcoef(out[span],pulse[span])[0,1], 'outside', np.corrcoef(out[~span],pulse[~span])[0,1])
lag=[np.corrcoef(out[span],np.sin(2*np.pi*1.2*(time_-d/30))[span])[0,1] for d in range(-12,13)]; print(np.round(lag,2)); 
spec=np.abs(np.fft.rfft(out[span]*np.hanning(span.sum()),512))**2; f=np.fft.rfftfreq(512,1/30); print('peak',f[spec.argmax()])
best=int(np.argmax(lag))-12
ref=tf.constant((np.sin(2*np.pi*1.2*(time_-best/30))*span).astype(np.float32))
score=lambda y: tf.reduce_sum(y*ref,-1)/float(span.sum())
m=tfvid.VideoModel(net,score=score,input_range=None)
for name,o in (("gradient",{}),("occlusion",dict(window=(16,8,8),stride=(16,8,8))),("grad_cam",{}),("layer_cam",{}),("integrated_gradients",dict(steps=8))):
    try:
        a=np.abs(tfvid.explainer(name,m,**o)(clip).attribution[0])
        e=a.sum(); print(name,'space',a[:,box].sum()/e/(box.mean()),'time',a[span].sum()/e/span.mean(),flush=True)
    except Exception as er: print(name,type(er).__name__,str(er)[:200],flush=True)
